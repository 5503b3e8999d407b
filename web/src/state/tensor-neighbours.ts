/** The tensors before and behind the selected one. */

import type { Rows } from "../api/types";
import { move, rows, selectedRow } from "./page-state";

/** ok is 0 and differs 1, as `STATUSES` counts; refused pairs and lone tensors are different as well. */
const OK = 0;

export function neighbourOf(
  all: Pick<Rows, "count" | "status">, row: number, direction: 1 | -1, isDifferent: boolean,
): number | null {
  for (let next = row + direction; next >= 0 && next < all.count; next += direction) {
    if (!isDifferent || all.status[next] !== OK) return next;
  }
  return null;
}

/** Go there and stay at the same indices, so that layers can be walked through at one place. */
export function goToNeighbour(direction: 1 | -1, isDifferent: boolean): void {
  const all = rows.peek();
  const row = selectedRow.peek();
  const next = all && row !== null ? neighbourOf(all, row, direction, isDifferent) : null;
  if (next !== null) move({ row: next, zoom: undefined });
}

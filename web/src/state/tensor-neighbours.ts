/** The tensors before and behind the selected one. */

import { move, rows, selectedRow } from "./page-state";
import { neighbourOf } from "../tensor/neighbour-row";

/** Go there and stay at the same indices, so that layers can be walked through at one place. */
export function goToNeighbour(direction: 1 | -1, isDifferent: boolean): void {
  const all = rows.peek();
  const row = selectedRow.peek();
  const next = all && row !== null ? neighbourOf(all, row, direction, isDifferent) : null;
  if (next !== null) move({ row: next, zoom: undefined });
}

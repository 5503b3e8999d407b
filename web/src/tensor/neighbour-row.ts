/** The tensors before and behind one in the list. Pure. */

import type { Rows } from "../api/types";

/** As `STATUSES` counts. Whatever is not ok is different: refused pairs and lone tensors, too. */
const OK = 0;

export function neighbourOf(
  all: Pick<Rows, "count" | "status">, row: number, direction: 1 | -1, isDifferent: boolean,
): number | null {
  for (let next = row + direction; next >= 0 && next < all.count; next += direction) {
    if (!isDifferent || all.status[next] !== OK) return next;
  }
  return null;
}

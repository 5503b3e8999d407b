/** From a row to the next one that one wants to see. */

/** Place of the neighbour among the rows; from a row that is not among them, of the nearest by number. -1 for none. */
export function nextPlace(shown: Int32Array, row: number | null, step: 1 | -1): number {
  if (shown.length === 0) return -1;
  if (row === null) return step > 0 ? 0 : shown.length - 1;
  const now = shown.indexOf(row);
  if (now >= 0) return now + step >= 0 && now + step < shown.length ? now + step : -1;
  let best = -1;
  shown.forEach((other, place) => {
    if (other > row !== step > 0) return;
    if (best < 0 || Math.abs(other - row) < Math.abs((shown[best] as number) - row)) best = place;
  });
  return best;
}

/** Statuses that are wrong by themselves: what was inherited follows from another row. */
const WRONG: ReadonlySet<number> = new Set([1, 4, 5, 6]);

/** The next row that is wrong by itself, round the end; null where there is no other. */
export function nextWrong(status: readonly number[], shown: Int32Array, row: number | null, step: 1 | -1): number | null {
  const count = shown.length;
  const now = row === null ? -1 : shown.indexOf(row);
  const start = now >= 0 ? now : step > 0 ? -1 : count;
  for (let moved = 1; moved <= count; moved += 1) {
    const found = shown[(((start + step * moved) % count) + count) % count] as number;
    if (WRONG.has(status[found] as number) && found !== row) return found;
  }
  return null;
}

/** Which numbers the ends of the colours stand for. Pure. */

import type { Figure, Measures } from "../api/types";
import type { Look } from "../state/tensor-place";
import type { Tile, Tiles, Which } from "../state/tensor-tiles";
import type { Range } from "./heat-colours";

const NOTHING: Range = { low: 0, high: 0 };

export function rangesOf(look: Look, found: Tiles | null, measures: Measures | null): Record<Which, Range> {
  const { isShared, isWhole } = look.scale;
  const whole = isWhole ? measures : null;
  const expected = whole ? between(whole.expected.minimum, whole.expected.maximum) : tileRange(found?.expected);
  const actual = whole ? between(whole.actual.minimum, whole.actual.maximum) : tileRange(found?.actual);
  const apart = whole ? between(0, whole.max_abs) : tileRange(found?.difference);
  // 0 is always the colour of "no difference".
  const difference = { low: Math.min(0, apart.low), high: Math.max(0, apart.high) };
  if (!isShared) return { expected, actual, difference };
  const both = joined([found?.expected || whole ? expected : null, found?.actual || whole ? actual : null]);
  return { expected: both, actual: both, difference };
}

function tileRange(tile: Tile | null | undefined): Range {
  return tile ? between(tile.head.minimum, tile.head.maximum) : NOTHING;
}

function between(low: Figure, high: Figure): Range {
  return { low: finite(low), high: finite(high) };
}

const finite = (figure: Figure) => (typeof figure === "number" && Number.isFinite(figure) ? figure : 0);

function joined(ranges: (Range | null)[]): Range {
  const there = ranges.filter((range) => range !== null);
  if (there.length === 0) return NOTHING;
  return { low: Math.min(...there.map((range) => range.low)), high: Math.max(...there.map((range) => range.high)) };
}

/** Where the number of largest magnitude stands; NaN before infinities before numbers. Null where there is none. */
export function extremeOf(tile: Tile): { row: number; column: number; value: number } | null {
  const { head, values, part } = tile;
  let best = -1;
  let rank = -1;
  for (let place = 0; place < values.length - head.missing; place += 1) {
    const size = Math.abs(values[place] as number);
    const now = Number.isNaN(size) ? Infinity : size === Infinity ? Number.MAX_VALUE : size;
    if (now > rank) [best, rank] = [place, now];
  }
  if (best < 0) return null;
  return {
    row: part.row0 + Math.floor(best / head.width) * head.rows_per_pixel,
    column: part.column0 + (best % head.width) * head.columns_per_pixel,
    value: values[best] as number,
  };
}

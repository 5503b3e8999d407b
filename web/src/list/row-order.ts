/** The rows of a comparison in another order. Equal ones stay as they stood; those without a figure come last. */

import type { Figure, Rows } from "../api/types";

export const SORT_KEYS = ["order", "name", "error", "max"] as const;
export type SortKey = (typeof SORT_KEYS)[number];

const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;
const ALL = 0xffffffff;

/** Row numbers by `key`; both directions keep rows without a figure at the end. */
export function rowOrder(rows: Rows, key: SortKey, isDescending: boolean): Uint32Array {
  if (key === "error") return byFigure(rows.error, isDescending);
  if (key === "max") return byFigure(rows.max_abs, isDescending);
  const order = key === "name" ? byName(rows) : new Uint32Array(rows.count);
  if (key === "order") for (let row = 0; row < rows.count; row += 1) order[row] = row;
  return isDescending ? order.reverse() : order;
}

/** NaN is the largest error of all, infinity the next. */
export function figureValue(figure: Figure): number {
  if (figure === "nan") return NaN;
  if (figure === "inf") return Infinity;
  return figure === "-inf" ? -Infinity : (figure as number);
}

/** `layer.9` before `layer.10`: each number is led by its length. */
export function naturalKey(name: string): string {
  return name.toLowerCase().replace(/\d+/g, (digits) => {
    const bare = digits.startsWith("0") ? digits.replace(/^0+(?=\d)/, "") : digits;
    return String.fromCharCode(0x30 + Math.min(bare.length, 64)) + bare;
  });
}

function byName(rows: Rows): Uint32Array {
  const keys = rows.expected.map((name, row) => naturalKey(name ?? rows.actual[row] ?? ""));
  // A plain array: its sort is quick where most names stand in order already, that of a typed one is not.
  const order = keys.map((_, row) => row);
  order.sort((one, other) => {
    const first = keys[one] as string;
    const second = keys[other] as string;
    return first < second ? -1 : first > second ? 1 : one - other;
  });
  return Uint32Array.from(order);
}

function byFigure(figures: readonly Figure[], isDescending: boolean): Uint32Array {
  const count = figures.length;
  const order = new Uint32Array(count);
  const values = new Float64Array(count);
  let known = 0;
  let missing = count;
  for (let row = 0; row < count; row += 1) {
    const figure = figures[row] as Figure;
    if (figure === null) continue;
    values[row] = figureValue(figure);
    order[known++] = row;
  }
  for (let row = count - 1; row >= 0; row -= 1) if (figures[row] === null) order[--missing] = row;
  radixSort(values, order.subarray(0, known), isDescending);
  return order;
}

/** By digits of the values' bits, which needs no comparisons: 100,000 of them in a few milliseconds. */
function radixSort(values: Float64Array, order: Uint32Array, isDescending: boolean): void {
  const words = new Uint32Array(values.buffer);
  const [low, high] = [new Uint32Array(values.length), new Uint32Array(values.length)];
  const flip = isDescending ? ALL : 0;
  for (const row of order) {
    const top = words[2 * row + 1] as number;
    // As unsigned integers, floating point numbers above zero stand in order, those below the other way round.
    const isNegative = top >>> 31 === 1;
    const isNan = Number.isNaN(values[row]);
    low[row] = (isNan || isNegative ? ~(words[2 * row] as number) : (words[2 * row] as number)) ^ flip;
    high[row] = (isNan ? ALL : isNegative ? ~top : top ^ 0x80000000) ^ flip;
  }
  let from = order;
  let to = new Uint32Array(order.length);
  for (const word of [low, high]) {
    for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
      const starts = new Uint32Array(DIGITS + 1);
      for (const row of from) starts[(((word[row] as number) >>> shift) & (DIGITS - 1)) + 1]! += 1;
      for (let digit = 0; digit < DIGITS; digit += 1) starts[digit + 1]! += starts[digit] as number;
      for (const row of from) to[starts[((word[row] as number) >>> shift) & (DIGITS - 1)]!++] = row;
      [from, to] = [to, from as Uint32Array<ArrayBuffer>];
    }
  }
  if (from !== order) order.set(from);
}

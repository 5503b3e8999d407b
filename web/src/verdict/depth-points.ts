/** The pairs in order of execution, as a chart wants them. */

import type { Rows } from "../api/types";
import { figureValue } from "../list/row-order";

/** Below the logarithmic part lie equal pairs, above it those whose error is no number. */
export const [EQUAL, NUMBER, NO_NUMBER] = [0, 1, 2] as const;

export interface DepthPoints {
  count: number;
  /** The row of each point. */
  rows: Int32Array;
  /** The point of each row; -1 for none. */
  places: Int32Array;
  status: Uint8Array;
  /** Which of the three parts of the chart a point is in. */
  lanes: Uint8Array;
  /** The decimal logarithm of the error, in the lane `NUMBER`. */
  exponents: Float32Array;
  /** Whole exponents between which all numbers lie. */
  low: number;
  high: number;
  hasEqual: boolean;
  /** What stands at the lane above the numbers; null where it is empty. */
  noNumber: string | null;
  /** Runs of points of one layer. */
  bands: { layer: number; from: number; to: number }[];
}

export function depthPoints(rows: Rows): DepthPoints {
  const order = inOrder(rows);
  const count = order.length;
  const places = new Int32Array(rows.count).fill(-1);
  const status = new Uint8Array(count);
  const lanes = new Uint8Array(count);
  const exponents = new Float32Array(count);
  const bands: DepthPoints["bands"] = [];
  let [low, high, equal, missing, infinite] = [Infinity, -Infinity, 0, 0, 0];
  order.forEach((row, point) => {
    places[row] = point;
    status[point] = rows.status[row] as number;
    const error = rows.error[row] ?? null;
    const size = error === null ? NaN : Math.abs(figureValue(error));
    if (size === 0) equal += 1;
    else if (Number.isFinite(size)) {
      const exponent = Math.log10(size);
      lanes[point] = NUMBER;
      exponents[point] = exponent;
      low = Math.min(low, exponent);
      high = Math.max(high, exponent);
    } else {
      lanes[point] = NO_NUMBER;
      if (error === null) missing += 1;
      else infinite += 1;
    }
    const layer = rows.layer[row] ?? null;
    const last = bands.at(-1);
    if (layer === null) return;
    if (last && last.layer === layer && last.to === point - 1) last.to = point;
    else bands.push({ layer, from: point, to: point });
  });
  const hasNumbers = low <= high;
  return {
    count, rows: order, places, status, lanes, exponents, bands,
    low: hasNumbers ? Math.floor(Math.min(low, high - 1)) : -9,
    high: hasNumbers ? Math.max(Math.ceil(high), Math.floor(low) + 2) : 1,
    hasEqual: equal > 0,
    noNumber: infinite > 0 ? (missing > 0 ? "no number" : "NaN, Inf") : missing > 0 ? "unmeasured" : null,
  };
}

function inOrder(rows: Rows): Int32Array {
  const found: number[] = [];
  let isSorted = true;
  let last = -1;
  rows.order.forEach((place, row) => {
    if (place === null) return;
    isSorted &&= place > last;
    last = place;
    found.push(row);
  });
  if (!isSorted) found.sort((one, other) => (rows.order[one] as number) - (rows.order[other] as number));
  return Int32Array.from(found);
}

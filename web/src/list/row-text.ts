/** What a row says, in few characters. */

import type { Figure, Rows } from "../api/types";
import { STATUSES } from "../api/types";
import { figureText } from "../state/format";
import { figureValue } from "./row-order";

const [LOWEST, HIGHEST] = [-9, 1];

/** The row's name: that of the expected run; the actual's where it stands alone. */
export function rowName(rows: Rows, row: number): string {
  return rows.expected[row] ?? rows.actual[row] ?? "";
}

/** The other run's name where it is another one. */
export function otherName(rows: Rows, row: number): string | null {
  const [expected, actual] = [rows.expected[row] ?? null, rows.actual[row] ?? null];
  return expected === null || actual === expected ? null : actual;
}

/** Whether so many rows have two names that each is shown on a line of its own. */
export function isRenamed(rows: Rows): boolean {
  let [pairs, renamed] = [0, 0];
  for (let row = 0; row < rows.count; row += 1) {
    if (rows.expected[row] == null || rows.actual[row] == null) continue;
    pairs += 1;
    if (rows.expected[row] !== rows.actual[row]) renamed += 1;
  }
  return renamed * 10 > pairs;
}

/** A name in three parts that follow each other. */
export interface NameParts {
  /** What its neighbours begin with, too: given up first where there is no room. */
  shared: string;
  /** Shortened next. */
  head: string;
  /** Always shown. */
  tail: string;
}

/** Parts of a name; below the header of its layer the layer's number is shared as well. */
export function nameParts(name: string, layer: number | null, isBelowLayer: boolean): NameParts {
  const shared = layer === null ? "" : name.slice(0, sharedLength(name, layer, isBelowLayer));
  const points = [...name.slice(shared.length)];
  if (points.length <= 16) return { shared, head: "", tail: points.join("") };
  const end = points.slice(-13);
  // From a dot on, where that leaves enough to be told apart.
  const dot = end.findIndex((point) => point === "." || point === "/");
  const tail = dot >= 0 && dot <= 6 ? end.slice(dot) : end;
  return { shared, head: points.slice(0, points.length - tail.length).join(""), tail: tail.join("") };
}

/** Up to the number of the layer: `model.layers.` of `model.layers.3.mlp`; nothing where that is short anyway. */
function sharedLength(name: string, layer: number, isBelowLayer: boolean): number {
  const number = new RegExp(`(^|[^0-9])0*${layer}(?=[._/-])`).exec(name);
  if (!number) return 0;
  const end = number.index + number[0].length;
  const length = isBelowLayer ? end + 1 : number.index + (number[1] as string).length;
  return length > 6 ? length : 0;
}

/** Between 0 for equal and 1 for an error of 10, or no number at all, by its logarithm; as in the report. */
export function errorShare(error: Figure | undefined): number {
  if (error === null || error === undefined || error === 0) return 0;
  const size = Math.abs(figureValue(error));
  if (!Number.isFinite(size)) return 1;
  return Math.min(Math.max((Math.log10(size) - LOWEST) / (HIGHEST - LOWEST), 0.04), 1);
}

/** `bf16`, `i64`, `f8_e4m3fn`. */
export function shortDtype(dtype: string): string {
  return dtype.replace(/^(b?)float/, "$1f").replace("uint", "u").replace(/^int/, "i").replace("complex", "c");
}

/** `16×64`, `0-d`. */
export function shortShape(shape: string): string {
  return shape === "[]" ? "0-d" : shape.slice(1, -1).replaceAll(", ", "×");
}

/** The whole row for those who hear it. */
export function rowLabel(rows: Rows, row: number): string {
  const other = otherName(rows, row);
  const error = rows.error[row];
  return [
    rowName(rows, row),
    other === null ? "" : `in the actual run ${other}`,
    STATUSES[rows.status[row] as number] as string,
    error === null || error === undefined ? "" : `relative error ${figureText(error)}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** Which window of the tensor the server is asked for. Pure. */

import type { Spec, Window } from "../api/types";
import { clamp, elementsOf, indexAt, placeInLine, type Shape } from "../tensor/tensor-index";
import type { Cut, Look, Mode, Viewport } from "./tensor-place";

/** The numbers that are written out. */
export function valuesWindow(look: Look): Window | null {
  return windowOf(look, (cut) => valuesSpec(cut, look.mode, look.count));
}

/** A single number: the cell of the heat map under the pointer. */
export function cellWindow(look: Look, row: number, column: number): Window | null {
  return windowOf(look, (cut) => {
    const plane = planeOf(cut, look.mode);
    if (row >= plane.rows || column >= plane.columns) return null;
    return { ...planeSpec(cut, look.mode), row0: row, column0: column, height: 1, width: 1 };
  });
}

/** What the heat maps show of each side. */
export function planeWindow(look: Look, zoom: Viewport | null): Window | null {
  return windowOf(look, (cut) => {
    const plane = planeOf(cut, look.mode);
    if (plane.rows === 0 || plane.columns === 0) return null;
    const part = zoom ?? { row0: 0, column0: 0, height: plane.rows, width: plane.columns };
    const row0 = Math.floor(part.row0);
    const column0 = Math.floor(part.column0);
    if (row0 >= plane.rows || column0 >= plane.columns) return null;
    return {
      ...planeSpec(cut, look.mode),
      row0,
      column0,
      height: Math.min(plane.rows, Math.ceil(part.row0 + part.height)) - row0,
      width: Math.min(plane.columns, Math.ceil(part.column0 + part.width)) - column0,
    };
  });
}

function windowOf(look: Look, make: (cut: Cut) => Spec | null): Window | null {
  const expected = look.expected && make(look.expected);
  const actual = look.actual && make(look.actual);
  return expected || actual ? { view: look.view, expected, actual } : null;
}

function plain(cut: Cut): Spec {
  return {
    fixed: cut.at, rows: null, columns: cut.columns, row0: 0, column0: 0, height: 1, width: 1, flat: false, fold: 0,
    rank: cut.rank,
  };
}

export function valuesSpec(cut: Cut, mode: Mode, count: number): Spec {
  const spec = plain(cut);
  if (mode === "flat") return { ...spec, flat: true, column0: placeInLine(cut.at, cut.shape), width: count };
  spec.column0 = cut.columns === null ? 0 : (cut.at[cut.columns] ?? 0);
  spec.width = count;
  if (mode === "line" || cut.rows === null) return spec;
  return { ...spec, rows: cut.rows, row0: cut.at[cut.rows] ?? 0, height: count };
}

/** What the heat map of a cut is: a plane of two dims, or a line that is folded into rows. */
export interface Plane {
  rows: number;
  columns: number;
  /** Numbers of a row of a folded line; 0 where two dims are shown. */
  fold: number;
}

export function planeOf(cut: Cut, mode: Mode): Plane {
  const { shape } = cut;
  if (elementsOf(shape) === 0) return { rows: 0, columns: 0, fold: 0 };
  if (mode !== "flat" && cut.rows !== null && cut.columns !== null) {
    return { rows: shape[cut.rows] ?? 0, columns: shape[cut.columns] ?? 0, fold: 0 };
  }
  const length = lineLength(cut, mode);
  const fold = foldOf(length, mode === "flat" ? shape : []);
  return { rows: Math.ceil(length / fold), columns: Math.min(length, fold), fold };
}

function lineLength(cut: Cut, mode: Mode): number {
  if (mode === "flat") return elementsOf(cut.shape);
  return cut.columns === null ? 1 : (cut.shape[cut.columns] ?? 0);
}

/** Short lines stay lines; long ones become as many rows as columns, cut at the last dim where it allows. */
function foldOf(length: number, shape: Shape): number {
  if (length <= 64) return Math.max(1, length);
  const last = shape.at(-1) ?? 0;
  if (last >= 8 && last <= 8192 && length / last <= 16 * last) return last;
  return 2 ** Math.ceil(Math.log2(Math.sqrt(length)));
}

function planeSpec(cut: Cut, mode: Mode): Spec {
  const { fold } = planeOf(cut, mode);
  // Where the numbers begin that are written out does not change the picture: it is not asked for again.
  const isShown = (dim: number) => mode === "flat" || dim === cut.columns || (fold === 0 && dim === cut.rows);
  const fixed = cut.at.map((index, dim) => (isShown(dim) ? 0 : index));
  if (fold === 0) return { ...plain(cut), fixed, rows: cut.rows };
  return { ...plain(cut), fixed, flat: mode === "flat", fold };
}

/** The index of a cell of the heat map; null behind the end of a folded line. */
export function indexInPlane(cut: Cut, mode: Mode, row: number, column: number): number[] | null {
  const { fold } = planeOf(cut, mode);
  const index = [...cut.at];
  if (fold === 0) {
    if (cut.rows !== null) index[cut.rows] = row;
    if (cut.columns !== null) index[cut.columns] = column;
    return index;
  }
  const position = row * fold + column;
  if (position >= lineLength(cut, mode)) return null;
  if (mode === "flat") return indexAt(position, cut.shape);
  if (cut.columns !== null) index[cut.columns] = position;
  return index;
}

/** Where the heat map shows an index. */
export function placeInPlane(cut: Cut, mode: Mode, index: readonly number[]): { row: number; column: number } {
  const { fold } = planeOf(cut, mode);
  if (fold === 0) {
    return { row: cut.rows === null ? 0 : (index[cut.rows] ?? 0), column: cut.columns === null ? 0 : (index[cut.columns] ?? 0) };
  }
  const position = mode === "flat" ? placeInLine(index, cut.shape) : cut.columns === null ? 0 : (index[cut.columns] ?? 0);
  return { row: Math.floor(position / fold), column: position % fold };
}

/** How far the value window can begin in a line or along a dim, and how it steps by pages. */
export function stepped(cut: Cut, mode: Mode, dim: "rows" | "columns", by: number): number[] {
  if (mode === "flat") {
    return indexAt(clamp(placeInLine(cut.at, cut.shape) + by, 0, elementsOf(cut.shape) - 1), cut.shape);
  }
  const which = cut[dim];
  const at = [...cut.at];
  if (which !== null) at[which] = clamp((at[which] ?? 0) + by, 0, (cut.shape[which] ?? 1) - 1);
  return at;
}

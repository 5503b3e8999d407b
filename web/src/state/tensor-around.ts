/** Where windows begin so that what was found is in them, at the same place on both sides. Pure. */

import { clamp, elementsOf, indexAt, placeInLine } from "../tensor/tensor-index";
import type { Cut, Mode } from "./tensor-place";

/** Numbers that are shown before what was found. */
const BEFORE = 3;

export interface Around {
  /** Where each window begins. */
  at: number[][];
  /** Where in the windows the number is. */
  row: number;
  column: number;
}

interface Target {
  cut: Cut;
  index: number[];
}

/** The cell of a window that shows the index; null where it is outside. */
export function cellIn({ cut, index }: Target, mode: Mode, count: number): { row: number; column: number } | null {
  const isWithin = (offset: number) => offset >= 0 && offset < count;
  if (mode === "flat") {
    const column = placeInLine(index, cut.shape) - placeInLine(cut.at, cut.shape);
    return isWithin(column) ? { row: 0, column } : null;
  }
  const rows = mode === "plane" ? cut.rows : null;
  const isElsewhere = index.some((entry, dim) => dim !== cut.columns && dim !== rows && entry !== cut.at[dim]);
  const offset = (dim: number | null) => (dim === null ? 0 : (index[dim] ?? 0) - (cut.at[dim] ?? 0));
  const [row, column] = [offset(rows), offset(cut.columns)];
  return !isElsewhere && isWithin(row) && isWithin(column) ? { row, column } : null;
}

/** Windows as they are where both show it at one place, else moved as far as both allow. */
export function windowsAround(targets: readonly Target[], mode: Mode, count: number): Around {
  const cells = targets.map((target) => cellIn(target, mode, count));
  const [first] = cells;
  if (first && cells.every((cell) => cell?.row === first.row && cell.column === first.column)) {
    return { at: targets.map(({ cut }) => [...cut.at]), ...first };
  }
  if (mode === "flat") {
    const places = targets.map(({ cut, index }) => [placeInLine(index, cut.shape), elementsOf(cut.shape)] as const);
    const column = offsetOf(places, count);
    return { at: targets.map(({ cut }, which) => indexAt((places[which]?.[0] ?? 0) - column, cut.shape)), row: 0, column };
  }
  const along = (dim: "rows" | "columns") =>
    offsetOf(
      targets.map(({ cut, index }) => {
        const which = cut[dim];
        return which === null ? ([0, 1] as const) : ([index[which] ?? 0, cut.shape[which] ?? 1] as const);
      }),
      count,
    );
  const row = mode === "plane" ? along("rows") : 0;
  const column = along("columns");
  const at = targets.map(({ cut, index }) => {
    const begin = [...index];
    if (mode === "plane" && cut.rows !== null) begin[cut.rows] = (begin[cut.rows] ?? 0) - row;
    if (cut.columns !== null) begin[cut.columns] = (begin[cut.columns] ?? 0) - column;
    return begin;
  });
  return { at, row, column };
}

/** How far behind the beginning of its window each place stands: a few numbers, more where the tensor ends. */
function offsetOf(places: readonly (readonly [number, number])[], count: number): number {
  const most = Math.min(count - 1, ...places.map(([place]) => place));
  const wanted = Math.max(0, ...places.map(([place, size]) => place + count - size));
  return clamp(Math.max(BEFORE, wanted), 0, most);
}

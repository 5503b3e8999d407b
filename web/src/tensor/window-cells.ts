/** What came from the server, by row and column of the window. Pure. */

import type { Cells, Figure, Values } from "../api/types";

/** Everything about one place of the window; null where a side has no number there. */
export interface WindowCell {
  row: number;
  column: number;
  expected: SideCell | null;
  actual: SideCell | null;
  difference: { text: string; value: Figure } | null;
  ulp: string | null;
  /** Whether they are farther apart than is allowed. */
  differs: boolean;
  /** Whether they are not equal. */
  isApart: boolean;
}

export interface SideCell {
  text: string;
  value: Figure;
  index: string;
  rank: number | null;
}

/** Rows and columns of the larger of both windows. */
export function sizeOf(values: Values): { height: number; width: number } {
  const sides = [values.expected, values.actual];
  return {
    height: Math.max(...sides.map((cells) => cells?.height ?? 0)),
    width: Math.max(...sides.map((cells) => cells?.width ?? 0)),
  };
}

function sideCell(cells: Cells | null, row: number, column: number): SideCell | null {
  if (!cells || row >= cells.height || column >= cells.width) return null;
  const place = row * cells.width + column;
  const text = cells.text[place];
  if (text === null || text === undefined) return null;
  return { text, value: cells.value[place] ?? null, index: cells.index[place] ?? "", rank: cells.rank?.[place] ?? null };
}

export function cellAt(values: Values, row: number, column: number): WindowCell {
  const expected = sideCell(values.expected, row, column);
  const actual = sideCell(values.actual, row, column);
  const cell: WindowCell = { row, column, expected, actual, difference: null, ulp: null, differs: false, isApart: false };
  if (!expected || !actual || !values.expected || !values.actual) return cell;
  // What lies between the sides has as many columns as both have.
  const place = row * Math.min(values.expected.width, values.actual.width) + column;
  const text = values.difference_text[place];
  if (text !== null && text !== undefined) cell.difference = { text, value: values.difference[place] ?? null };
  const ulp = values.ulp[place];
  cell.ulp = ulp === null || ulp === undefined ? null : countText(ulp);
  cell.differs = values.differs[place] ?? false;
  cell.isApart = cell.difference !== null && cell.difference.value !== 0;
  return cell;
}

/** Counts beyond what a browser's numbers hold are told as what they are: rounded. */
function countText(count: number | string): string {
  return typeof count === "string" || Number.isSafeInteger(count) ? String(count) : `≈${count.toExponential(3)}`;
}

/** All places of the window, row by row. */
export function allCells(values: Values): WindowCell[][] {
  const { height, width } = sizeOf(values);
  return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (__, column) => cellAt(values, row, column)));
}

/** The index of a side's own, as people read it. */
export function indexOf(cell: WindowCell, side: "expected" | "actual"): string {
  const found = cell[side];
  if (!found) return "–";
  const index = found.index === "" ? "()" : found.index.replaceAll(",", ", ");
  return found.rank === null ? index : `rank ${found.rank}: ${index}`;
}

/** What a cell shows. */
export function shownOf(found: { text: string; value: Figure; index?: string } | null) {
  return { text: found?.text ?? null, value: found?.value ?? null, index: found?.index ?? null };
}

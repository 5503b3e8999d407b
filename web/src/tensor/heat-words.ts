/** What heat maps say in words. Pure. */

import { figureText } from "../state/format";
import type { Tile, Which } from "../state/tensor-tiles";
import { indexOf, type WindowCell } from "./window-cells";

/** What the colour of a pixel says that stands for several cells. */
export function pixelText({ head, values, part }: Tile, row: number, column: number): string | null {
  const { rows_per_pixel: tall, columns_per_pixel: wide } = head;
  const place = Math.floor((row - part.row0) / tall) * head.width + Math.floor((column - part.column0) / wide);
  const value = values[place];
  if ((tall === 1 && wide === 1) || value === undefined) return null;
  return `the pixel: largest of ${tall} × ${wide}, ${figureText(Number.isNaN(value) ? "nan" : value, 4)}`;
}

/** For those who do not see the picture. */
export function labelOf(
  which: Which, plane: { rows: number; columns: number }, tile: Tile | null, index: number[] | null, isDrawing: boolean,
): string {
  const name = `Heat map of ${which === "difference" ? "the difference" : which}, ${plane.rows} rows, ${plane.columns} columns`;
  // One side's zoom may lie outside the other, and what was asked for may not have come.
  if (!tile) return `${name}, ${isDrawing ? "being read" : "not drawn"}`;
  const { minimum, maximum } = tile.head;
  const where = index ? `, largest magnitude at ${index.join(", ") || "its only number"}` : "";
  const strange = [tile.head.nan && "has NaN", tile.head.inf && "has infinities"].filter(Boolean).join(", ");
  return `${name}, from ${figureText(minimum)} to ${figureText(maximum)}${where}${strange ? `, ${strange}` : ""}`;
}

/** The numbers under the crosshair, for those who do not see it. */
export function cellText(cell: WindowCell): string {
  const sides = (["expected", "actual"] as const).flatMap((side) => {
    const found = cell[side];
    return found ? [`${side} ${indexOf(cell, side)}: ${found.text}`] : [];
  });
  return [...sides, ...(cell.differs ? ["differs"] : [])].join("; ");
}

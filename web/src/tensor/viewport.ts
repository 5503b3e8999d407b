/** Which part of a heat map is shown: zoom and pan. Pure; null is all of it. */

import type { Viewport } from "../state/tensor-place";
import { clamp } from "./tensor-index";

export interface Extent {
  rows: number;
  columns: number;
}

/** Closer than so many cells an edge does not get. */
const LEAST = 4;

export function wholeOf(extent: Extent): Viewport {
  return { row0: 0, column0: 0, height: extent.rows, width: extent.columns };
}

/** Within the plane; null where all of it is shown. */
export function settled(part: Viewport, extent: Extent): Viewport | null {
  const height = clamp(part.height, Math.min(LEAST, extent.rows), extent.rows);
  const width = clamp(part.width, Math.min(LEAST, extent.columns), extent.columns);
  if (height >= extent.rows && width >= extent.columns) return null;
  return {
    row0: clamp(part.row0, 0, extent.rows - height),
    column0: clamp(part.column0, 0, extent.columns - width),
    height,
    width,
  };
}

/** Closer by `factor` (farther below 1), so that the cell stays where it is on the screen. */
export function zoomed(part: Viewport | null, extent: Extent, factor: number, row: number, column: number): Viewport | null {
  const now = part ?? wholeOf(extent);
  const height = clamp(now.height / factor, Math.min(LEAST, extent.rows), extent.rows);
  const width = clamp(now.width / factor, Math.min(LEAST, extent.columns), extent.columns);
  return settled(
    {
      row0: row - ((row - now.row0) / now.height) * height,
      column0: column - ((column - now.column0) / now.width) * width,
      height,
      width,
    },
    extent,
  );
}

/** Moved by cells. */
export function panned(part: Viewport | null, extent: Extent, down: number, right: number): Viewport | null {
  if (!part) return null;
  return settled({ ...part, row0: part.row0 + down, column0: part.column0 + right }, extent);
}

/** Moved as little as shows the cell. */
export function showing(part: Viewport | null, extent: Extent, row: number, column: number): Viewport | null {
  if (!part) return null;
  const row0 = clamp(part.row0, row + 1 - part.height, row);
  const column0 = clamp(part.column0, column + 1 - part.width, column);
  return settled({ ...part, row0, column0 }, extent);
}

/** The cell under a point, given as parts of the height and width of the picture. */
export function cellUnder(part: Viewport | null, extent: Extent, down: number, across: number): { row: number; column: number } {
  const now = part ?? wholeOf(extent);
  return {
    row: clamp(Math.floor(now.row0 + down * now.height), 0, extent.rows - 1),
    column: clamp(Math.floor(now.column0 + across * now.width), 0, extent.columns - 1),
  };
}

/** Where a key leads among the numbers: a cell of the window, or another window. Pure. */

import { stepped } from "../state/tensor-spec";
import type { Cut, Look } from "../state/tensor-place";
import { elementsOf, placeInLine } from "./tensor-index";

export interface Step {
  row: number;
  column: number;
  /** By how much the window moves down and to the right. */
  down: number;
  right: number;
}

interface Size {
  height: number;
  width: number;
}

/** Null for keys that mean nothing here. */
export function gridStep(
  key: string, isControl: boolean, at: { row: number; column: number }, size: Size, isLine: boolean,
): Step | null {
  const stay: Step = { row: at.row, column: at.column, down: 0, right: 0 };
  // A line stands upright on the page, and runs along the columns of its window.
  const [before, after] = isLine ? ["ArrowUp", "ArrowDown"] : ["ArrowLeft", "ArrowRight"];
  const page = isLine ? size.width : size.height;
  switch (key) {
    case before:
      return at.column > 0 ? { ...stay, column: at.column - 1 } : { ...stay, right: -1 };
    case after:
      return at.column < size.width - 1 ? { ...stay, column: at.column + 1 } : { ...stay, right: 1 };
    case "Home":
      return isLine && isControl ? { ...stay, column: 0, right: -Infinity } : { ...stay, column: 0, ...(isControl ? { row: 0, down: -Infinity, right: -Infinity } : {}) };
    case "End":
      return { ...stay, column: size.width - 1, ...(isControl ? { row: size.height - 1 } : {}) };
    case "PageUp":
      return isLine ? { ...stay, right: -page } : { ...stay, down: -page };
    case "PageDown":
      return isLine ? { ...stay, right: page } : { ...stay, down: page };
    default:
  }
  if (isLine) return null;
  if (key === "ArrowUp") return at.row > 0 ? { ...stay, row: at.row - 1 } : { ...stay, down: -1 };
  if (key === "ArrowDown") return at.row < size.height - 1 ? { ...stay, row: at.row + 1 } : { ...stay, down: 1 };
  return null;
}

/** The index where a window begins that is moved so far; it never begins behind the last number. */
export function movedCut(cut: Cut, look: Pick<Look, "mode">, down: number, right: number): number[] {
  const at = down === 0 ? cut.at : stepped(cut, look.mode, "rows", Math.max(-1e15, down));
  return right === 0 ? at : stepped({ ...cut, at }, look.mode, "columns", Math.max(-1e15, right));
}

/** A page further; where the last number is shown already it stays. */
export function turnedCut(cut: Cut, look: Pick<Look, "mode" | "count">, down: number, right: number): number[] {
  const isLast = isAtEnd(cut, look, "rows", down) || isAtEnd(cut, look, "columns", right);
  return isLast ? cut.at : movedCut(cut, look, down * look.count, right * look.count);
}

function isAtEnd(cut: Cut, { mode, count }: Pick<Look, "mode" | "count">, dim: "rows" | "columns", pages: number): boolean {
  if (pages <= 0) return false;
  if (mode === "flat") return placeInLine(cut.at, cut.shape) + pages * count >= elementsOf(cut.shape);
  const which = cut[dim];
  return which === null || (cut.at[which] ?? 0) + pages * count >= (cut.shape[which] ?? 1);
}

/** Where the window is, in words. Pure. */

import type { Cut, Look, Mode } from "../state/tensor-place";
import { elementsOf, placeInLine } from "./tensor-index";

/** `[3, 0:10, 0:10] of [8, 76, 64]`, for each side where they are looked at by themselves. */
export function windowText(look: Look): string {
  const { expected, actual } = look;
  if (expected && actual) {
    return `expected ${expressionOf(expected, look.mode, look.count)} · actual ${expressionOf(actual, look.mode, look.count)}`;
  }
  const cut = expected ?? actual;
  return cut ? `${expressionOf(cut, look.mode, look.count)} of [${cut.shape.join(", ")}]` : "";
}

/** The window as Python cuts it: `[3, 0:10, 5]`, `.flatten()[30:40]`. */
export function expressionOf(cut: Cut, mode: Mode, count: number): string {
  const to = (start: number, size: number) => `${start}:${Math.min(size, start + count)}`;
  if (mode === "flat") {
    const start = placeInLine(cut.at, cut.shape);
    return `.flatten()[${to(start, elementsOf(cut.shape))}]`;
  }
  if (cut.shape.length === 0) return "[()]";
  const parts = cut.shape.map((size, dim) => {
    const isShown = dim === cut.columns || (mode === "plane" && dim === cut.rows);
    return isShown ? to(cut.at[dim] ?? 0, size) : String(cut.at[dim] ?? 0);
  });
  const text = `[${parts.join(", ")}]`;
  const isTurned = mode === "plane" && cut.rows !== null && cut.columns !== null && cut.rows > cut.columns;
  return isTurned ? `${text}.mT` : text;
}

/** How a number looks: classes for its sign and its magnitude. Pure. */

import type { Figure } from "../api/types";

export const STEPS = 6;

/** Largest finite magnitude, 0 where there is none. */
export function largestOf(...lists: readonly (readonly Figure[])[]): number {
  let largest = 0;
  for (const list of lists) {
    for (const figure of list) {
      if (typeof figure === "number" && Math.abs(figure) > largest) largest = Math.abs(figure);
    }
  }
  return largest;
}

/** `positive size-3`: the hue says the sign, the intensity the magnitude in six steps up to the largest. */
export function numberClass(figure: Figure | undefined, largest: number): string {
  if (figure === null || figure === undefined) return "";
  if (figure === "nan") return "is-nan";
  if (typeof figure === "string") return "is-infinite";
  if (figure === 0 || largest === 0) return "is-zero";
  const step = Math.max(1, Math.min(STEPS, Math.ceil(Math.sqrt(Math.abs(figure) / largest) * STEPS)));
  return `${figure > 0 ? "positive" : "negative"} size-${step}`;
}

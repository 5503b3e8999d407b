/** How wide the list is, as long as this tab lives. */

import { effect, signal } from "@preact/signals";

const KEPT = "outgrow.list-width";
const [LEAST, MOST, REST] = [220, 1000, 360];

/** Pixels; null for what suits the window. */
export const listWidth = signal<number | null>(widthOf(sessionStorage.getItem(KEPT)));

/** The width from what was kept; null where that is no number. */
function widthOf(text: string | null): number | null {
  return text !== null && /^\d{2,4}$/.test(text) ? Number(text) : null;
}

/** The widths that leave room for the rest of a window so wide. */
export function widthLimits(window: number): [number, number] {
  return [LEAST, Math.max(LEAST, Math.min(MOST, window - REST))];
}

/** Make the list so wide; null for what suits the window. */
export function setListWidth(width: number | null): void {
  const [least, most] = widthLimits(innerWidth);
  listWidth.value = width === null ? null : Math.round(Math.max(least, Math.min(most, width)));
  if (listWidth.value === null) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, String(listWidth.value));
}

// The frame lays out the columns; it reads the width from here.
effect(() => {
  const { style } = document.documentElement;
  if (listWidth.value === null) style.removeProperty("--list-width");
  else style.setProperty("--list-width", `${listWidth.value}px`);
});

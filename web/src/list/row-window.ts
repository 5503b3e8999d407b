/** Which lines of a long list are drawn, and how far it is scrolled to show one: all lines have one height. */

/** Lines from `from` up to `to`, that one not included. */
export interface RowWindow {
  from: number;
  to: number;
}

/** Drawn beyond what is seen, on each side. */
const BEYOND = 10;
/** The window moves by so many lines at once, so that a slow scroll seldom draws anew. */
const STRIDE = 4;
/** So short a list is drawn whole: the browser's own search finds every name in it. */
const WHOLE = 500;

/** The lines to draw while `view` pixels are seen from `top` on. Their number is the same wherever one is, but at the ends. */
export function rowWindow(top: number, view: number, rowHeight: number, count: number): RowWindow {
  if (count <= WHOLE) return { from: 0, to: count };
  const seen = Math.ceil(view / rowHeight) + 1;
  const first = Math.floor(Math.max(top, 0) / rowHeight / STRIDE) * STRIDE;
  const from = Math.max(0, Math.min(first - BEYOND, count - seen));
  return { from, to: Math.min(count, Math.max(first, 0) + seen + STRIDE + BEYOND) };
}

/** Where to scroll so that a line is seen whole, below what covers the top: nowhere if it is. */
export function topFor(
  index: number, top: number, view: number, rowHeight: number, covered: number,
): number {
  const [start, end] = [index * rowHeight, (index + 1) * rowHeight];
  if (start - covered < top) return Math.max(0, start - covered);
  return end > top + view ? end - view : top;
}

/** How many lines a page has. */
export function pageRows(view: number, rowHeight: number, covered: number): number {
  return Math.max(1, Math.floor((view - covered) / rowHeight) - 1);
}

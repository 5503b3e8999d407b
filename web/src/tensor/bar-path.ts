/** A histogram as the outline of an area. Pure. */

/** Heights from 0 to 1, by the logarithm of the counts: one number is seen beside millions. */
export function heightsOf(bars: readonly number[], most: number): number[] {
  const top = Math.log1p(most);
  return bars.map((count) => (top === 0 ? 0 : Math.log1p(count) / top));
}

/** Steps from bar to bar in a box of that size, for the `d` of an SVG path; empty without bars. */
export function stepPath(heights: readonly number[], width: number, height: number): string {
  if (heights.length === 0) return "";
  const step = width / heights.length;
  const parts = heights.map((part, place) => {
    const y = (height * (1 - part)).toFixed(1);
    return `L${(place * step).toFixed(1)} ${y}L${((place + 1) * step).toFixed(1)} ${y}`;
  });
  return `M0 ${height}${parts.join("")}L${width} ${height}Z`;
}

/** Of the bar under a point: its number among the bars. */
export function barUnder(across: number, bars: number): number {
  return Math.max(0, Math.min(bars - 1, Math.floor(across * bars)));
}

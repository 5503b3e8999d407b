/** Where points lie on the chart, and which one is meant by a place on it. */

import { EQUAL, NO_NUMBER, type DepthPoints } from "./depth-points";

/** The points that are shown: from the first to the last, both included. */
export interface Span {
  from: number;
  to: number;
}

/** The inner rectangle, in CSS pixels. */
export interface Plot {
  left: number;
  top: number;
  width: number;
  height: number;
  /** Height of the lanes above and below the numbers. */
  lane: number;
}

export function wholeSpan(points: DepthPoints): Span {
  return { from: 0, to: Math.max(points.count - 1, 0) };
}

/** Within the points, in order, at least one of them. */
export function clampSpan(span: Span, count: number): Span {
  const last = Math.max(count - 1, 0);
  const within = (point: number): number => Math.max(0, Math.min(last, Math.round(point)));
  const [from, to] = [within(Math.min(span.from, span.to)), within(Math.max(span.from, span.to))];
  return { from, to };
}

/** `12-340`; undefined for all of them. */
export function spanText(span: Span, points: DepthPoints): string | undefined {
  return span.from === 0 && span.to >= points.count - 1 ? undefined : `${span.from}-${span.to}`;
}

export function parseSpan(text: string | number | undefined, points: DepthPoints): Span {
  const found = /^(\d{1,9})-(\d{1,9})$/.exec(String(text ?? ""));
  return found ? clampSpan({ from: Number(found[1]), to: Number(found[2]) }, points.count) : wholeSpan(points);
}

/** `around` stays where it is, while `factor` times as many points are shown. */
export function zoomSpan(span: Span, around: number, factor: number, count: number): Span {
  const width = Math.max((span.to - span.from) * factor, 4);
  const share = span.to > span.from ? (around - span.from) / (span.to - span.from) : 0.5;
  const from = Math.max(0, Math.min(around - width * share, count - 1 - width));
  return clampSpan({ from, to: from + width }, count);
}

/** The span moved so far that a point is in it. */
export function spanWith(span: Span, point: number, count: number): Span {
  if (point >= span.from && point <= span.to) return span;
  const width = span.to - span.from;
  const from = Math.max(0, Math.min(point - Math.floor(width / 2), count - 1 - width));
  return { from, to: from + width };
}

export function pointX(point: number, span: Span, plot: Plot): number {
  return plot.left + ((point - span.from + 0.5) / (span.to - span.from + 1)) * plot.width;
}

/** The point below a place, with parts of it. */
export function pointAt(x: number, span: Span, plot: Plot): number {
  return span.from - 0.5 + ((x - plot.left) / plot.width) * (span.to - span.from + 1);
}

export function exponentY(exponent: number, points: DepthPoints, plot: Plot): number {
  const top = plot.top + (points.noNumber === null ? 0 : plot.lane);
  const bottom = plot.top + plot.height - (points.hasEqual ? plot.lane : 0);
  return bottom - ((exponent - points.low) / (points.high - points.low)) * (bottom - top);
}

export function pointY(point: number, points: DepthPoints, plot: Plot): number {
  const lane = points.lanes[point];
  if (lane === EQUAL) return plot.top + plot.height - plot.lane / 2;
  if (lane === NO_NUMBER) return plot.top + plot.lane / 2;
  return exponentY(points.exponents[point] as number, points, plot);
}

/** The point nearest to a place: among those a finger's breadth beside it, else the nearest at all. -1 for none. */
export function nearestPoint(x: number, y: number, points: DepthPoints, span: Span, plot: Plot): number {
  if (points.count === 0) return -1;
  const middle = pointAt(x, span, plot);
  const reach = (10 / plot.width) * (span.to - span.from + 1);
  const first = Math.max(span.from, Math.ceil(middle - reach));
  const last = Math.min(span.to, Math.floor(middle + reach));
  if (first > last) return Math.max(span.from, Math.min(span.to, Math.round(middle)));
  let [best, least] = [-1, Infinity];
  for (let point = first; point <= last; point += 1) {
    const [dx, dy] = [pointX(point, span, plot) - x, pointY(point, points, plot) - y];
    const distance = dx * dx + dy * dy;
    if (distance < least) [best, least] = [point, distance];
  }
  return best;
}

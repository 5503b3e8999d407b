/** Draws the chart of the error over depth. */

import type { Colours } from "./depth-colours";
import { NUMBER, type DepthPoints } from "./depth-points";
import { exponentY, pointX, pointY, type Plot, type Span } from "./depth-scale";
import { drawPoints } from "./depth-shapes";

/** A point with a line and a name. */
export interface Mark {
  point: number;
  text: string;
  status: number;
}

export interface Picture {
  points: DepthPoints;
  span: Span;
  plot: Plot;
  colours: Colours;
  marks: Mark[];
  /** Without axes and words. */
  isThin: boolean;
}

const FONT = '11.5px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const MOST_LINKED = 1500;

export function paint(context: CanvasRenderingContext2D, width: number, height: number, picture: Picture): void {
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.lineJoin = "round";
  drawBands(context, picture);
  if (!picture.isThin) drawGrid(context, picture);
  drawLinks(context, picture);
  for (const mark of picture.marks) drawLine(context, picture, mark);
  context.save();
  context.beginPath();
  context.rect(picture.plot.left - 6, 0, picture.plot.width + 12, height);
  context.clip();
  drawPoints(context, picture.points, picture.span, picture.plot, picture.colours, picture.isThin);
  context.restore();
  if (!picture.isThin) drawNames(context, picture);
}

function drawBands(context: CanvasRenderingContext2D, { points, span, plot, colours, isThin }: Picture): void {
  const step = plot.width / (span.to - span.from + 1);
  let free = -Infinity;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  for (const band of points.bands) {
    const from = Math.max(band.from, span.from);
    const to = Math.min(band.to, span.to);
    if (from > to) continue;
    const left = pointX(from, span, plot) - step / 2;
    const right = pointX(to, span, plot) + step / 2;
    if (right - left < 2) continue;
    if (band.layer % 2 === 0) {
      context.fillStyle = colours.band;
      context.fillRect(left, plot.top, right - left, plot.height);
    }
    const text = String(band.layer);
    const half = context.measureText(text).width / 2;
    const middle = (left + right) / 2;
    if (isThin || middle - half < free) continue;
    context.fillStyle = colours.soft;
    context.fillText(text, middle, plot.top + plot.height + 16);
    free = middle + half + 10;
  }
}

function drawGrid(context: CanvasRenderingContext2D, { points, plot, colours }: Picture): void {
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.lineWidth = 1;
  const every = Math.max(1, Math.ceil((points.high - points.low) / Math.max(plot.height / 34, 1)));
  const line = (y: number, text: string): void => {
    context.strokeStyle = colours.line;
    context.beginPath();
    context.moveTo(plot.left, Math.round(y) + 0.5);
    context.lineTo(plot.left + plot.width, Math.round(y) + 0.5);
    context.stroke();
    context.fillStyle = colours.soft;
    context.fillText(text, plot.left - 8, y);
  };
  for (let exponent = points.low; exponent <= points.high; exponent += every) {
    line(exponentY(exponent, points, plot), exponent === 0 ? "1" : exponent === 1 ? "10" : `1e${exponent}`);
  }
  if (points.hasEqual) line(plot.top + plot.height - plot.lane / 2, "equal");
  if (points.noNumber !== null) line(plot.top + plot.lane / 2, points.noNumber);
}

function drawLinks(context: CanvasRenderingContext2D, { points, span, plot, colours, isThin }: Picture): void {
  if (isThin || span.to - span.from > MOST_LINKED) return;
  context.strokeStyle = colours.soft;
  context.globalAlpha = 0.4;
  context.lineWidth = 1;
  context.beginPath();
  let isDrawing = false;
  for (let point = span.from; point <= span.to; point += 1) {
    // A line to a point without a number would say a value that nobody has.
    if (points.lanes[point] !== NUMBER) isDrawing = false;
    else {
      const [x, y] = [pointX(point, span, plot), pointY(point, points, plot)];
      if (isDrawing) context.lineTo(x, y);
      else context.moveTo(x, y);
      isDrawing = true;
    }
  }
  context.stroke();
  context.globalAlpha = 1;
}

function drawLine(context: CanvasRenderingContext2D, { span, plot, colours, isThin }: Picture, mark: Mark): void {
  if (mark.point < span.from || mark.point > span.to) return;
  const x = Math.round(pointX(mark.point, span, plot)) + 0.5;
  context.strokeStyle = colours.status[mark.status] as string;
  context.lineWidth = isThin ? 1 : 1.5;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(x, isThin ? plot.top : plot.top - 18);
  context.lineTo(x, plot.top + plot.height);
  context.stroke();
  context.setLineDash([]);
}

/** Names stand above the plot, beside their line, and never over each other. */
function drawNames(context: CanvasRenderingContext2D, { marks, span, plot, colours }: Picture): void {
  context.textBaseline = "alphabetic";
  let taken: [number, number] | null = null;
  for (const mark of marks) {
    if (mark.point < span.from || mark.point > span.to) continue;
    const x = pointX(mark.point, span, plot);
    const width = context.measureText(mark.text).width + 12;
    const isRight = x + width <= plot.left + plot.width;
    const place: [number, number] = isRight ? [x, x + width] : [x - width, x];
    const y = plot.top - (taken && place[0] < taken[1] && place[1] > taken[0] ? 22 : 8);
    taken = place;
    context.textAlign = isRight ? "left" : "right";
    context.fillStyle = colours.status[mark.status] as string;
    context.font = `600 ${FONT}`;
    context.fillText(mark.text, x + (isRight ? 6 : -6), y);
    context.font = FONT;
  }
}

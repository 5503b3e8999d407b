/** Points of a chart: a shape for each status, in its colour. */

import { SEVERITY } from "../list/row-groups";
import type { Colours } from "./depth-colours";
import type { DepthPoints } from "./depth-points";
import { pointX, pointY, type Plot, type Span } from "./depth-scale";

/** So many points get shapes of their own; more are drawn as squares, each place once. */
const MOST_SHAPES = 1500;
const CELL = 2;

export function drawPoints(
  context: CanvasRenderingContext2D, points: DepthPoints, span: Span, plot: Plot, colours: Colours, isThin: boolean,
): void {
  const shown = span.to - span.from + 1;
  if (points.count === 0) return;
  if (shown > MOST_SHAPES || isThin) drawSquares(context, points, span, plot, colours, isThin);
  else drawShapes(context, points, span, plot, colours);
}

function drawShapes(
  context: CanvasRenderingContext2D, points: DepthPoints, span: Span, plot: Plot, colours: Colours,
): void {
  const scale = span.to - span.from > 400 ? 0.7 : 1;
  for (const status of [...SEVERITY].reverse()) {
    context.fillStyle = context.strokeStyle = colours.status[status] as string;
    context.lineWidth = 1.6;
    for (let point = span.from; point <= span.to; point += 1) {
      if (points.status[point] !== status) continue;
      drawShape(context, status, pointX(point, span, plot), pointY(point, points, plot), scale);
    }
  }
}

/** Circle, diamond, triangle, ring: what the list shows has the same colour. */
function drawShape(context: CanvasRenderingContext2D, status: number, x: number, y: number, scale: number): void {
  context.beginPath();
  if (status === 1) {
    const r = 5.5 * scale;
    context.moveTo(x, y - r);
    context.lineTo(x + r, y);
    context.lineTo(x, y + r);
    context.lineTo(x - r, y);
  } else if (status === 2) {
    const r = 4 * scale;
    context.moveTo(x, y - r);
    context.lineTo(x + r, y + r * 0.8);
    context.lineTo(x - r, y + r * 0.8);
  } else context.arc(x, y, (status === 3 ? 3.4 : 2.8) * scale, 0, 7);
  context.closePath();
  if (status === 3) context.stroke();
  else context.fill();
}

/** The worst status at each place of a grid, so that 100,000 points are not more work than the grid has places. */
function drawSquares(
  context: CanvasRenderingContext2D, points: DepthPoints, span: Span, plot: Plot, colours: Colours, isThin: boolean,
): void {
  const width = Math.ceil(plot.width / CELL) + 1;
  const height = Math.ceil(plot.height / CELL) + 1;
  const grid = new Uint8Array(width * height);
  const rank = SEVERITY.map((_, status) => SEVERITY.length - SEVERITY.indexOf(status));
  for (let point = span.from; point <= span.to; point += 1) {
    const column = ((pointX(point, span, plot) - plot.left) / CELL) | 0;
    const row = ((pointY(point, points, plot) - plot.top) / CELL) | 0;
    const now = rank[points.status[point] as number] as number;
    const cell = row * width + column;
    if (now > (grid[cell] as number)) grid[cell] = now;
  }
  const byRank = [...SEVERITY].reverse();
  for (let level = 1; level <= SEVERITY.length; level += 1) {
    const status = byRank[level - 1] as number;
    const size = (status === 1 ? 5 : 3) - (isThin ? 0.5 : 0);
    context.fillStyle = colours.status[status] as string;
    for (let cell = grid.indexOf(level); cell >= 0; cell = grid.indexOf(level, cell + 1)) {
      const x = plot.left + (cell % width) * CELL;
      const y = plot.top + Math.floor(cell / width) * CELL;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
  }
}

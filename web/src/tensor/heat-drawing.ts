/** Numbers onto a canvas. */

import type { Viewport } from "../state/tensor-place";
import type { Tile } from "../state/tensor-tiles";
import { colour, type Palette, type Range } from "./heat-colours";

/** Draw what a tile shows of the part; a tile of another part (a finer one is on its way) is drawn where it belongs. */
export function drawTile(
  canvas: HTMLCanvasElement, tile: Tile, part: Viewport, palette: Palette, range: Range, isLog: boolean,
): void {
  const context = canvas.getContext("2d");
  const { head, values } = tile;
  if (!context || head.height === 0 || head.width === 0) return;
  const image = new ImageData(head.width, head.height);
  colour(values, new Uint32Array(image.data.buffer), palette, range, isLog, head.missing);
  const source = new OffscreenCanvas(head.width, head.height);
  source.getContext("2d")?.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const across = canvas.width / part.width;
  const down = canvas.height / part.height;
  context.drawImage(
    source,
    (tile.part.column0 - part.column0) * across,
    (tile.part.row0 - part.row0) * down,
    tile.part.width * across,
    tile.part.height * down,
  );
}

import { useEffect, useRef } from "preact/hooks";

import { figureText } from "../state/format";
import type { Tile, Which } from "../state/tensor-tiles";
import { colour, type Range } from "./heat-colours";
import { palettes } from "./theme-colours";

const STEPS = 128;

/** Which colour is which number, and what stands for no number. */
export function HeatLegend({ which, range, tile, isLog }: { which: Which; range: Range; tile: Tile | null; isLog: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const found = palettes.value;
  const isApart = which === "difference";
  const { low, high } = legendRange(range, isApart);
  // As many as tell the ends from each other.
  const digits = [2, 4, 6].find((enough) => figureText(low, enough) !== figureText(high, enough)) ?? 2;

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !found) return;
    const image = new ImageData(STEPS, 1);
    const numbers = Float32Array.from({ length: STEPS }, (_, step) => low + ((high - low) * step) / (STEPS - 1));
    colour(numbers, new Uint32Array(image.data.buffer), isApart ? found.difference : found.values, { low, high }, isLog);
    context.putImageData(image, 0, 0);
  });

  return (
    <div class="legend">
      <span>{figureText(low, digits)}</span>
      <canvas ref={canvas} width={STEPS} height={1} aria-hidden="true" />
      <span>{figureText(high, digits)}</span>
      {tile !== null && tile.head.nan > 0 && <span class="swatch nan">NaN</span>}
      {tile !== null && tile.head.inf > 0 && <span class="swatch infinite">Inf</span>}
    </div>
  );
}

/** Signed numbers are coloured alike on both sides of 0; of a difference only the magnitude counts. */
export function legendRange({ low, high }: Range, isApart: boolean): Range {
  const most = Math.max(-low, high);
  if (isApart) return { low: 0, high: most };
  return low < 0 && high > 0 ? { low: -most, high: most } : { low, high };
}

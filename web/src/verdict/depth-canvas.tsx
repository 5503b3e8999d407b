import type { ReadonlySignal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { readColours } from "./depth-colours";
import { paint, type Picture } from "./depth-paint";
import { pointX, type Plot } from "./depth-scale";

export interface Size {
  width: number;
  height: number;
}

interface Props {
  size: Size;
  plot: Plot;
  picture: Omit<Picture, "colours" | "plot">;
}

/** Draws a picture with the pixels of the screen, again when the theme changes. */
export function DepthCanvas({ size, plot, picture }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useThemeTurns();
  useLayoutEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || plot.width <= 0) return;
    const density = window.devicePixelRatio || 1;
    element.width = Math.round(size.width * density);
    element.height = Math.round(size.height * density);
    context.setTransform(density, 0, 0, density, 0, 0);
    paint(context, size.width, size.height, { ...picture, plot, colours: readColours(element) });
  }, [
    size.width, size.height, theme, picture.points, picture.span.from, picture.span.to, picture.marks, picture.isThin,
  ]);
  return <canvas ref={canvas} class="depth-canvas" aria-hidden="true" />;
}

/** Where the selected row is: over the picture, which is not drawn again for it. */
export function SelectedLine({ selected, picture, plot }: { selected: ReadonlySignal<number> } & Omit<Props, "size">) {
  const point = selected.value;
  const { span } = picture;
  if (point < span.from || point > span.to) return null;
  const [top, height] = [`${plot.top}px`, `${plot.height}px`];
  return <i class="depth-selected" data-testid="depth-selected" style={{ left: `${pointX(point, span, plot)}px`, top, height }} />;
}

/** How often the theme, or the pixels of the screen, have changed. */
function useThemeTurns(): number {
  const [turns, setTurns] = useState(0);
  useLayoutEffect(() => {
    const turn = (): void => setTurns((now) => now + 1);
    const queries = ["(prefers-color-scheme: dark)", "(resolution: 1dppx)"].map((query) => matchMedia(query));
    for (const query of queries) query.addEventListener("change", turn);
    return () => {
      for (const query of queries) query.removeEventListener("change", turn);
    };
  }, []);
  return turns;
}

/** The width of an element, as it is now. */
export function useWidth(): [(element: HTMLElement | null) => void, number] {
  const [width, setWidth] = useState(0);
  const [element, setElement] = useState<HTMLElement | null>(null);
  useLayoutEffect(() => {
    if (!element) return;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return [setElement, width];
}

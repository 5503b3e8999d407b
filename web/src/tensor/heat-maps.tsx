import { useEffect, useRef } from "preact/hooks";

import type { Measures } from "../api/types";
import { planeOf } from "../state/tensor-spec";
import type { Look } from "../state/tensor-place";
import { heatSize, isDrawing, tiles, whichOf } from "../state/tensor-tiles";
import { isEmpty } from "../state/tensor-values";
import { setScale, setZoom } from "../state/tensor-view";
import { HeatMap } from "./heat-map";
import { rangesOf } from "./heat-range";
import { elementsOf } from "./tensor-index";
import { followTheme } from "./theme-colours";
import { zoomed } from "./viewport";
import "./heat.css";

const HEIGHT = 240;
const MOST_PIXELS = 900;

interface Properties {
  look: Look;
  measures: Measures | null;
  isComplex: boolean;
}

/** Pictures of both sides and of what lies between, under one crosshair; of a single number there is none. */
export function HeatMaps(props: Properties) {
  const { look } = props;
  const isLone = [look.expected, look.actual].every((one) => one === null || elementsOf(one.shape) <= 1);
  return isEmpty(look) || isLone ? null : <Pictures {...props} />;
}

function Pictures({ look, measures, isComplex }: Properties) {
  const frame = useRef<HTMLDivElement>(null);
  const which = whichOf(look);
  const cut = look.expected ?? look.actual;
  const plane = cut ? planeOf(cut, look.mode) : { rows: 0, columns: 0, fold: 0 };
  // Few rows need no tall picture.
  const height = Math.min(HEIGHT, Math.max(28, plane.rows * 24));

  useEffect(followTheme, []);
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const measure = () => {
      const width = element.querySelector("canvas")?.clientWidth ?? 0;
      const scale = Math.min(2, devicePixelRatio);
      if (width > 0) {
        const wanted = { height: Math.round(height * scale), width: Math.min(MOST_PIXELS, Math.round(width * scale)) };
        const now = heatSize.peek();
        if (now?.height !== wanted.height || now.width !== wanted.width) heatSize.value = wanted;
      }
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, [height, which.length]);
  useEffect(() => () => void (heatSize.value = null), []);

  const found = tiles.value;
  const ranges = rangesOf(look, found, measures);
  const { scale, zoom } = look;
  const near = (factor: number) => {
    const part = zoom ?? { row0: 0, column0: 0, height: plane.rows, width: plane.columns };
    setZoom(zoomed(zoom, plane, factor, part.row0 + part.height / 2, part.column0 + part.width / 2));
  };
  return (
    <section class="heat" aria-label="Heat maps" aria-busy={isDrawing.value}>
      <div class="heat-head">
        <h2>Heat maps</h2>
        <span class="soft small">{planeText(look, plane.fold)}{isComplex && ", moduli"}</span>
        <span class="moves" role="group" aria-label="Zoom">
          <button type="button" aria-label="zoom in" title="zoom in (+)" onClick={() => near(2)}>+</button>
          <button type="button" aria-label="zoom out" title="zoom out (−)" disabled={!zoom} onClick={() => near(0.5)}>−</button>
          <button type="button" disabled={!zoom} onClick={() => setZoom(null)} title="all of it (0)">All</button>
        </span>
        {which.length > 1 && (
          <label>
            <input type="checkbox" checked={scale.isShared} onChange={(event) => setScale({ isShared: event.currentTarget.checked })} /> one scale
          </label>
        )}
        <label>
          <input type="checkbox" data-testid="log-scale" checked={scale.isLog} onChange={(event) => setScale({ isLog: event.currentTarget.checked })} /> log
        </label>
        {measures && (
          <label title="the same colours in every slice">
            <input type="checkbox" checked={scale.isWhole} onChange={(event) => setScale({ isWhole: event.currentTarget.checked })} /> scale of the whole tensor
          </label>
        )}
      </div>
      <div class={`heat-maps of-${which.length}`} ref={frame}>
        {which.map((name) => (
          <HeatMap key={name} which={name} look={look} tile={found?.[name] ?? null} range={ranges[name]} height={height} />
        ))}
      </div>
      <p class="soft small keys">Click: show the numbers there. Drag: move. Wheel with Ctrl, <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd>: zoom. Arrows: crosshair; with Shift: move.</p>
    </section>
  );
}

function planeText(look: Look, fold: number): string {
  const cut = look.expected ?? look.actual;
  if (!cut) return "";
  if (look.expected && look.actual) return look.mode === "flat" ? "all numbers" : "each side by its own dims";
  if (fold > 0) return look.mode === "flat" ? `all numbers in rows of ${fold}` : `dim ${cut.columns ?? "–"} in rows of ${fold}`;
  const size = (dim: number | null) => (dim === null ? 1 : cut.shape[dim]);
  return `dim ${cut.rows} ↓ (${size(cut.rows)}), dim ${cut.columns} → (${size(cut.columns)})`;
}

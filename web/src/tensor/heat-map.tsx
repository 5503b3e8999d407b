import { useEffect, useRef } from "preact/hooks";

import { figureText } from "../state/format";
import { pointTo } from "../state/tensor-cursor";
import { indexInPlane, placeInPlane, planeOf } from "../state/tensor-spec";
import type { Cut, Look, Viewport } from "../state/tensor-place";
import { pointed, pointedCell } from "../state/tensor-pointed";
import type { Tile, Which } from "../state/tensor-tiles";
import { moveWindows, setZoom } from "../state/tensor-view";
import type { Range } from "./heat-colours";
import { drawTile } from "./heat-drawing";
import { HeatLegend } from "./heat-legend";
import { extremeOf } from "./heat-range";
import { palettes } from "./theme-colours";
import { ValueTip } from "./value-tip";
import { cellUnder, panned, showing, wholeOf, zoomed } from "./viewport";

interface Properties {
  which: Which;
  look: Look;
  tile: Tile | null;
  range: Range;
  height: number;
}

const TITLES: Record<Which, string> = { expected: "expected", actual: "actual", difference: "|actual − expected|" };
/** A pointer that moved less than so many pixels has clicked, not dragged. */
const STILL = 4;

export function HeatMap({ which, look, tile, range, height }: Properties) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drag = useRef<{ x: number; y: number; isMoving: boolean } | null>(null);
  const colours = palettes.value;
  const cut = (which === "actual" ? (look.actual ?? look.expected) : (look.expected ?? look.actual)) as Cut;
  const plane = planeOf(cut, look.mode);
  const part = look.zoom ?? wholeOf(plane);
  const place = pointed.value;

  useEffect(() => {
    const element = canvas.current;
    if (!element || !colours) return;
    const scale = Math.min(2, devicePixelRatio);
    element.width = Math.max(1, Math.round(element.clientWidth * scale));
    element.height = Math.round(height * scale);
    if (tile) drawTile(element, tile, part, which === "difference" ? colours.difference : colours.values, range, look.scale.isLog);
    element.dataset["drawn"] = String(tile !== null);
  });

  function under(event: MouseEvent) {
    const box = canvas.current!.getBoundingClientRect();
    return cellUnder(look.zoom, plane, (event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width);
  }

  function showNumbers(row: number, column: number) {
    moveWindows((own) => indexInPlane(own, look.mode, row, column));
    pointTo(0, 0);
  }

  function onMove(event: PointerEvent) {
    const began = drag.current;
    if (began) {
      const box = canvas.current!.getBoundingClientRect();
      const [right, down] = [began.x - event.clientX, began.y - event.clientY];
      began.isMoving ||= Math.hypot(right, down) >= STILL;
      if (!began.isMoving) return;
      setZoom(panned(look.zoom, plane, (down / box.height) * part.height, (right / box.width) * part.width));
      drag.current = { x: event.clientX, y: event.clientY, isMoving: true };
    }
    pointed.value = { which, ...under(event) };
  }

  function onKey(event: KeyboardEvent) {
    const at = place ?? { which, row: Math.floor(part.row0 + part.height / 2), column: Math.floor(part.column0 + part.width / 2) };
    const arrows: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const arrow = arrows[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow && event.shiftKey) setZoom(panned(look.zoom, plane, (arrow[0] * part.height) / 4, (arrow[1] * part.width) / 4));
    else if (arrow) {
      // A step is a pixel, where it stands for several cells.
      const row = Math.max(0, Math.min(plane.rows - 1, at.row + arrow[0] * (tile?.head.rows_per_pixel ?? 1)));
      const column = Math.max(0, Math.min(plane.columns - 1, at.column + arrow[1] * (tile?.head.columns_per_pixel ?? 1)));
      pointed.value = { which, row, column };
      setZoom(showing(look.zoom, plane, row, column));
    } else if (event.key === "+" || event.key === "=") setZoom(zoomed(look.zoom, plane, 2, at.row, at.column));
    else if (event.key === "-") setZoom(zoomed(look.zoom, plane, 0.5, at.row, at.column));
    else if (event.key === "0") setZoom(null);
    else if (event.key === "Enter") showNumbers(at.row, at.column);
    else if (event.key === "Escape") pointed.value = null;
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The lone wrong number among millions is a pixel that nobody sees.
  const extreme = which === "difference" && tile ? extremeOf(tile) : null;
  const largest = extreme !== null && extreme.value !== 0 ? extreme : null;
  const shown = placeInPlane(cut, look.mode, cut.at);
  const left = (column: number) => `${((column - part.column0) / part.width) * 100}%`;
  const top = (row: number) => `${((row - part.row0) / part.height) * 100}%`;
  const isInside = (row: number, column: number) =>
    row >= part.row0 && row < part.row0 + part.height && column >= part.column0 && column < part.column0 + part.width;
  return (
    <figure class="heat-map">
      <figcaption>{TITLES[which]}</figcaption>
      <div class="picture" style={{ height: `${height}px` }}>
        <canvas
          ref={canvas}
          role="img"
          tabIndex={0}
          data-testid={`heatmap-${which}`}
          aria-label={labelOf(which, plane, tile, cut, look)}
          onPointerDown={(event) => {
            if (event.button !== 0) return;
            drag.current = { x: event.clientX, y: event.clientY, isMoving: false };
            event.currentTarget.setPointerCapture(event.pointerId);
          }}
          onPointerMove={onMove}
          onPointerUp={(event) => {
            const began = drag.current;
            drag.current = null;
            if (!began || began.isMoving) return;
            const { row, column } = under(event);
            showNumbers(row, column);
          }}
          onPointerCancel={() => (drag.current = null)}
          onPointerLeave={() => (pointed.value = null)}
          onBlur={() => (pointed.value = null)}
          onWheel={(event) => {
            if (!event.ctrlKey && !event.metaKey && !look.zoom && document.activeElement !== event.currentTarget) return;
            event.preventDefault();
            const { row, column } = under(event);
            setZoom(zoomed(look.zoom, plane, event.deltaY < 0 ? 1.25 : 0.8, row, column));
          }}
          onKeyDown={onKey}
        />
        <WindowMark shown={shown} part={part} plane={plane} look={look} />
        {largest && isInside(largest.row, largest.column) && (
          <span class="largest-mark" title="largest" style={{ left: left(largest.column + 0.5), top: top(largest.row + 0.5) }} />
        )}
        {place && isInside(place.row, place.column) && (
          <>
            <span class="cross-row" style={{ top: top(place.row + 0.5) }} />
            <span class="cross-column" style={{ left: left(place.column + 0.5) }} />
            {place.which === which && pointedCell.value && (
              <ValueTip cell={pointedCell.value} left={tipLeft(canvas.current, (place.column - part.column0) / part.width)} top={((place.row - part.row0) / part.height) * height + 18} />
            )}
          </>
        )}
      </div>
      <HeatLegend which={which} range={range} tile={tile} isLog={look.scale.isLog} />
    </figure>
  );
}

interface MarkProperties {
  shown: { row: number; column: number };
  part: Viewport;
  plane: { rows: number; columns: number; fold: number };
  look: Look;
}

/** The part whose numbers are written out, as far as it is in the picture. */
function WindowMark({ shown, part, plane, look }: MarkProperties) {
  const isPlane = look.mode === "plane" && plane.fold === 0;
  const [bottom, right] = [shown.row + (isPlane ? look.count : 1), Math.min(plane.columns, shown.column + look.count)];
  const from = { row: Math.max(shown.row, part.row0), column: Math.max(shown.column, part.column0) };
  const to = { row: Math.min(bottom, part.row0 + part.height, plane.rows), column: Math.min(right, part.column0 + part.width) };
  if (to.row <= from.row || to.column <= from.column) return null;
  const share = (cells: number, of: number) => `${(cells / of) * 100}%`;
  return (
    <span
      class="here-mark"
      style={{
        left: share(from.column - part.column0, part.width),
        top: share(from.row - part.row0, part.height),
        width: share(to.column - from.column, part.width),
        height: share(to.row - from.row, part.height),
      }}
    />
  );
}

/** Beside the pointer, on the side where there is room. */
function tipLeft(canvas: HTMLCanvasElement | null, across: number): number {
  const width = canvas?.clientWidth ?? 0;
  return across > 0.5 ? Math.max(-120, across * width - 250) : across * width + 12;
}

function labelOf(which: Which, plane: { rows: number; columns: number }, tile: Tile | null, cut: Cut, look: Look): string {
  const name = `Heat map of ${which === "difference" ? "the difference" : which}, ${plane.rows} rows, ${plane.columns} columns`;
  if (!tile) return `${name}, being read`;
  const { minimum, maximum } = tile.head;
  const extreme = extremeOf(tile);
  const index = extreme && indexInPlane(cut, look.mode, extreme.row, extreme.column);
  const where = index ? `, largest magnitude at ${index.join(", ") || "its only number"}` : "";
  const strange = [tile.head.nan && "has NaN", tile.head.inf && "has infinities"].filter(Boolean).join(", ");
  return `${name}, from ${figureText(minimum)} to ${figureText(maximum)}${where}${strange ? `, ${strange}` : ""}`;
}

import { useEffect, useMemo, useRef } from "preact/hooks";

import { announce } from "../state/announce";
import { pointTo } from "../state/tensor-cursor";
import { indexInPlane, placeInPlane, planeOf } from "../state/tensor-spec";
import type { Cut, Look } from "../state/tensor-place";
import { pointed, pointedCell } from "../state/tensor-pointed";
import { heatSize, isDrawing, type Tile, type Which } from "../state/tensor-tiles";
import { moveWindows, setZoom } from "../state/tensor-view";
import type { Range } from "./heat-colours";
import { drawTile } from "./heat-drawing";
import { HeatLegend } from "./heat-legend";
import { extremeOf } from "./heat-range";
import { cellText, labelOf, pixelText } from "./heat-words";
import { palettes } from "./theme-colours";
import { ValueTip } from "./value-tip";
import { WindowMark } from "./window-mark";
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
  const isByKeys = useRef(false);
  const drag = useRef<{ x: number; y: number; isMoving: boolean } | null>(null);
  const colours = palettes.value;
  const cut = (which === "actual" ? (look.actual ?? look.expected) : (look.expected ?? look.actual)) as Cut;
  const plane = planeOf(cut, look.mode);
  const part = look.zoom ?? wholeOf(plane);
  const place = pointed.value;
  const size = heatSize.value;
  const { row0, column0, height: rows, width: columns } = part;
  const palette = which === "difference" ? colours?.difference : colours?.values;

  const told = pointedCell.value;
  useEffect(() => {
    if (told && isByKeys.current && pointed.peek()?.which === which) announce(cellText(told));
  }, [told]);

  useEffect(() => {
    const element = canvas.current;
    if (!element || !palette) return;
    const scale = Math.min(2, devicePixelRatio);
    element.width = Math.max(1, Math.round(element.clientWidth * scale));
    element.height = Math.round(height * scale);
    if (tile) drawTile(element, tile, { row0, column0, height: rows, width: columns }, palette, range, look.scale.isLog);
    element.dataset["drawn"] = String(tile !== null);
  }, [tile, palette, size, height, row0, column0, rows, columns, range.low, range.high, look.scale.isLog]);

  function under(event: MouseEvent) {
    const box = canvas.current!.getBoundingClientRect();
    return cellUnder(look.zoom, plane, (event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width);
  }

  function showNumbers(row: number, column: number) {
    moveWindows((own) => indexInPlane(own, look.mode, row, column));
    pointTo(0, 0);
  }

  function onMove(event: PointerEvent) {
    isByKeys.current = false;
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
      isByKeys.current = true;
      pointed.value = { which, row, column };
      setZoom(showing(look.zoom, plane, row, column));
    } else if (event.key === "+" || event.key === "=") setZoom(zoomed(look.zoom, plane, 2, at.row, at.column));
    else if (event.key === "-") setZoom(zoomed(look.zoom, plane, 0.5, at.row, at.column));
    else if (event.key === "0") setZoom(null);
    else if (event.key === "Enter") showNumbers(at.row, at.column);
    else if (event.key === "Escape" && place) pointed.value = null;
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The lone wrong number among millions is a pixel that nobody sees.
  const drawn = isDrawing.value ? null : tile;
  const extreme = useMemo(() => drawn && extremeOf(drawn), [drawn]);
  const largest = which === "difference" && extreme !== null && extreme.value !== 0 ? extreme : null;
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
          aria-label={labelOf(which, plane, drawn, extreme && indexInPlane(cut, look.mode, extreme.row, extreme.column), isDrawing.value)}
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
              <ValueTip cell={pointedCell.value} note={drawn && pixelText(drawn, place.row, place.column)} {...besidePointer(canvas.current, (place.column - part.column0) / part.width)} top={((place.row - part.row0) / part.height) * height + 18} />
            )}
          </>
        )}
      </div>
      <HeatLegend which={which} range={range} tile={tile} isLog={look.scale.isLog} />
    </figure>
  );
}

/** Beside the pointer, on the side where there is room. */
function besidePointer(canvas: HTMLCanvasElement | null, across: number): { left: number } | { right: number } {
  const box = canvas?.getBoundingClientRect();
  const whole = canvas?.closest(".heat-maps")?.getBoundingClientRect();
  if (!box || !whole) return { left: 0 };
  const x = across * box.width;
  return box.left + x > whole.left + whole.width / 2 ? { right: box.width - x + 12 } : { left: x + 12 };
}

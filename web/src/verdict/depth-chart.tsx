import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { label, marks, points, selectedPoint, span, zoom } from "../state/list-depth";
import { rows, select } from "../state/page-state";
import { DepthCanvas, SelectedLine, useWidth } from "./depth-canvas";
import "./depth-chart.css";
import { pointAfterKey } from "./depth-keys";
import { clampSpan, nearestPoint, pointAt, spanWith, zoomSpan, type Plot } from "./depth-scale";
import { DepthTip } from "./depth-tip";

const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM, LANE] = [280, 68, 14, 40, 26, 30];
/** A pointer that moved less has clicked. */
const DRAG = 4;
/** While it is zoomed, a click waits so long for a second one. */
const DOUBLE_MS = 250;

/** The error of each pair in order of execution: where it begins, and how far it goes. */
export function DepthChart() {
  const [ref, width] = useWidth();
  const pointed = useSignal(-1);
  const byKeyboard = useSignal(false);
  const drag = useSignal<{ from: number; to: number } | null>(null);
  const waiting = useRef<number | undefined>(undefined);
  useEffect(() => () => clearTimeout(waiting.current), []);
  const [all, found] = [points.value, rows.value];
  if (!all || !found || all.count === 0) return null;
  const shown = span.value;
  const isZoomed = shown.from > 0 || shown.to < all.count - 1;
  const plot: Plot = { left: LEFT, top: TOP, width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM, lane: LANE };
  const picture = { points: all, span: shown, marks: marks.value, isThin: false };

  const pointBelow = (event: MouseEvent): [number, number] => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  function onPointerMove(event: PointerEvent): void {
    const [x, y] = pointBelow(event);
    byKeyboard.value = false;
    if (drag.value) drag.value = { ...drag.value, to: x };
    pointed.value = nearestPoint(x, y, all!, shown, plot);
  }

  function onPointerDown(event: PointerEvent): void {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const [x] = pointBelow(event);
    drag.value = { from: x, to: x };
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
  }

  function onPointerUp(event: PointerEvent): void {
    const [x, y] = pointBelow(event);
    const begun = drag.value;
    drag.value = null;
    if (event.button !== 0 || (begun === null && event.pointerType !== "touch")) return;
    if (begun && Math.abs(x - begun.from) > DRAG) {
      const ends = [pointAt(begun.from, shown, plot), pointAt(x, shown, plot)] as const;
      zoom(clampSpan({ from: Math.ceil(Math.min(...ends)), to: Math.floor(Math.max(...ends)) }, all!.count));
      return;
    }
    const point = nearestPoint(x, y, all!, shown, plot);
    clearTimeout(waiting.current);
    if (event.detail > 1) return;
    if (isZoomed) waiting.current = window.setTimeout(() => open(point), DOUBLE_MS);
    else open(point);
  }

  function open(point: number): void {
    if (point >= 0) select(all!.rows[point] as number);
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = pointed.value >= 0 ? pointed.value : selectedPoint.value;
    const to = pointAfterKey(event.key, now, shown, all!.count);
    if (to !== null) {
      byKeyboard.value = true;
      pointed.value = to;
      zoom(spanWith(shown, to, all!.count));
    } else if (event.key === "Enter" && now >= 0) open(now);
    else if (event.key === "Escape" && (isZoomed || drag.value)) {
      drag.value = null;
      zoom(null);
    } else if (event.key === "+" || event.key === "-") {
      const around = now >= 0 ? now : (shown.from + shown.to) / 2;
      zoom(zoomSpan(shown, around, event.key === "+" ? 0.5 : 2, all!.count));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    <figure class="depth" ref={ref}>
      <div
        class={drag.value ? "depth-plot dragging" : "depth-plot"}
        data-testid="depth-chart"
        role="img"
        aria-label={label.value}
        tabIndex={0}
        onPointerMove={onPointerMove}
        onPointerDown={onPointerDown}
        onPointerUp={onPointerUp}
        onPointerCancel={() => (drag.value = null)}
        onPointerLeave={() => {
          if (!byKeyboard.value) pointed.value = -1;
        }}
        onDblClick={() => {
          clearTimeout(waiting.current);
          zoom(null);
        }}
        onKeyDown={onKeyDown}
        onBlur={() => {
          if (byKeyboard.value) pointed.value = -1;
        }}
      >
        <DepthCanvas
          size={{ width, height: HEIGHT }}
          plot={plot}
          picture={picture}
        />
        <SelectedLine selected={selectedPoint} picture={picture} plot={plot} />
        {drag.value && <Choice from={drag.value.from} to={drag.value.to} plot={plot} />}
      </div>
      <DepthTip point={drag.value ? -1 : pointed.value} points={all} rows={found} span={shown} plot={plot} isSpoken={byKeyboard.value} />
      <figcaption>
        <span>Relative error of each pair, in order of execution; below it the layers. Drag to look closer.</span>
        {isZoomed && (
          <button type="button" onClick={() => zoom(null)}>
            Show all {all.count.toLocaleString("en")}
          </button>
        )}
      </figcaption>
    </figure>
  );
}

/** What a drag has chosen so far. */
function Choice({ from, to, plot }: { from: number; to: number; plot: Plot }) {
  const within = (x: number): number => Math.max(plot.left, Math.min(plot.left + plot.width, x));
  const [left, right] = [within(Math.min(from, to)), within(Math.max(from, to))];
  const [top, height] = [`${plot.top}px`, `${plot.height}px`];
  return <div class="depth-choice" style={{ left: `${left}px`, width: `${right - left}px`, top, height }} />;
}

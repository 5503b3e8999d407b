import { marks, points, selectedPoint } from "../state/list-depth";
import { select } from "../state/page-state";
import { DepthCanvas, SelectedLine, useWidth } from "./depth-canvas";
import "./depth-chart.css";
import { nearestPoint, wholeSpan, type Plot } from "./depth-scale";

const HEIGHT = 34;

/** The whole run in a strip: where one is in it, and where it goes wrong. What it says to the eye the list says in words. */
export function DepthStrip() {
  const [ref, width] = useWidth();
  const all = points.value;
  if (!all || all.count < 3) return null;
  const span = wholeSpan(all);
  const plot: Plot = { left: 4, top: 4, width: width - 8, height: HEIGHT - 8, lane: 5 };
  const picture = { points: all, span, marks: marks.value, isThin: true };
  return (
    <div
      class="depth-strip"
      data-testid="depth-strip"
      ref={ref}
      aria-hidden="true"
      title="Error over depth: click to go to a tensor"
      onClick={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const point = nearestPoint(event.clientX - box.left, event.clientY - box.top, all, span, plot);
        if (point >= 0) select(all.rows[point] as number);
      }}
    >
      <DepthCanvas
        size={{ width, height: HEIGHT }}
        plot={plot}
        picture={picture}
      />
      <SelectedLine selected={selectedPoint} picture={picture} plot={plot} />
    </div>
  );
}

import { useEffect, useState } from "preact/hooks";

import type { Counts, Figure } from "../api/types";
import { figureText } from "../state/format";
import { counts, isCounting, isOfSlice } from "../state/tensor-counts";
import type { Look } from "../state/tensor-place";
import { barUnder, heightsOf, stepPath } from "./bar-path";
import "./histogram.css";

const WIDTH = 400;
const HEIGHT = 110;

interface Curve {
  name: string;
  kind: "expected" | "actual" | "difference";
  bars: number[];
}

/** How often which numbers occur on both sides, and what lies between them. */
export function Histogram({ look }: { look: Look }) {
  const found = counts.value?.row === look.row ? counts.value.counts : null;
  useEffect(() => () => void (isCounting.value = false), []);
  return (
    <details class="fold" open={isCounting.value} onToggle={(event) => (isCounting.value = event.currentTarget.open)} data-testid="histogram">
      <summary>Histogram</summary>
      <div class="histogram-body">
        <label>
          <input type="checkbox" checked={isOfSlice.value} onChange={(event) => (isOfSlice.value = event.currentTarget.checked)} /> of this slice only
        </label>
        {!found && <p class="soft" aria-live="polite">Counting…</p>}
        {found && <Charts found={found} />}
      </div>
    </details>
  );
}

function Charts({ found }: { found: Counts }) {
  const sides: Curve[] = [];
  if (found.expected) sides.push({ name: "expected", kind: "expected", bars: found.expected });
  if (found.actual) sides.push({ name: "actual", kind: "actual", bars: found.actual });
  return (
    <>
      <div class="charts">
        <Chart title={sides.map((curve) => curve.name).join(" and ")} edges={found.edges} curves={sides} />
        {found.difference && (
          <Chart title="actual − expected" edges={found.difference_edges} curves={[{ name: "difference", kind: "difference", bars: found.difference }]} />
        )}
      </div>
      <p class="soft small">
        {strange("NaN", found.nan)}; {strange("Inf", found.inf)}.{" "}
        {found.is_sampled && `A sample of ${found.elements.toLocaleString("en")} of ${found.of.toLocaleString("en")} numbers. `}
        Heights are logarithms of counts.
      </p>
    </>
  );
}

function strange(name: string, found: readonly (number | null)[]): string {
  const [expected, actual] = found;
  const sides = [
    expected === null || expected === undefined ? "" : `${expected.toLocaleString("en")} expected`,
    actual === null || actual === undefined ? "" : `${actual.toLocaleString("en")} actual`,
  ].filter(Boolean);
  return `${name}: ${sides.join(", ")}`;
}

function Chart({ title, edges, curves }: { title: string; edges: readonly Figure[]; curves: Curve[] }) {
  const [bar, setBar] = useState<number | null>(null);
  const bars = curves[0]?.bars.length ?? 0;
  const most = Math.max(0, ...curves.flatMap((curve) => curve.bars));
  if (bars === 0) return <p class="soft">{title}: no finite numbers</p>;
  const told = bar === null ? null : curves.map((curve) => `${(curve.bars[bar] ?? 0).toLocaleString("en")} ${curve.name}`).join(", ");
  const [first, last] = [edges[0], edges.at(-1)];
  return (
    <figure class="chart">
      <figcaption>
        {curves.map((curve) => (
          <span key={curve.kind} class={`key ${curve.kind}`}>{curve.kind === "difference" ? title : curve.name}</span>
        ))}
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        tabIndex={0}
        aria-label={`Histogram of ${title}, from ${figureText(first)} to ${figureText(last)}, at most ${most.toLocaleString("en")} in a bar`}
        onMouseMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          setBar(barUnder((event.clientX - box.left) / box.width, bars));
        }}
        onMouseLeave={() => setBar(null)}
        onBlur={() => setBar(null)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
          event.preventDefault();
          event.stopPropagation();
          setBar(Math.max(0, Math.min(bars - 1, (bar ?? Math.floor(bars / 2)) + (event.key === "ArrowRight" ? 1 : -1))));
        }}
      >
        {curves.map((curve) => (
          <path key={curve.kind} class={curve.kind} d={stepPath(heightsOf(curve.bars, most), WIDTH, HEIGHT)} />
        ))}
        {bar !== null && <rect class="bar-mark" x={(bar / bars) * WIDTH} y={0} width={WIDTH / bars} height={HEIGHT} />}
      </svg>
      <div class="ends">
        <span>{figureText(first)}</span>
        <span aria-live="polite">{bar === null ? "" : `${figureText(edges[bar])} to ${figureText(edges[bar + 1])}: ${told}`}</span>
        <span>{figureText(last)}</span>
      </div>
    </figure>
  );
}

import { useEffect, useRef } from "preact/hooks";

import type { Verdict } from "../api/types";
import { figureText, plural } from "../state/format";
import { rows, select, verdict } from "../state/page-state";
import { Sign } from "../style/sign";
import { DepthChart } from "./depth-chart";
import { Coverage } from "./coverage";
import { Diagnoses } from "./diagnoses";
import { StatusCounts } from "./status-counts";
import { titleAndRest } from "./verdict-words";
import "./verdict.css";

/** The answer, and the way to where the runs part. */
export function VerdictView() {
  const heading = useRef<HTMLHeadingElement>(null);
  const found = verdict.value;
  useEffect(() => heading.current?.focus({ preventScroll: true }), [found]);
  if (!found) return null;
  const [title, rest] = titleAndRest(found.sentence);
  return (
    <div class="verdict-view">
      <section class={`verdict ${found.verdict}`} aria-label="Verdict">
        <span class="verdict-sign">
          <Sign of={found.verdict} size={34} />
        </span>
        <h1 ref={heading} tabIndex={-1} data-testid="verdict" data-verdict={found.verdict}>
          <span class="title">
            {title.replace(/:$/, "")}
            {title.endsWith(":") && <span class="unseen">:</span>}
          </span>{" "}
          <span class={/^[a-z]/.test(rest) ? "rest words" : "rest"}>{rest}</span>
        </h1>
        {found.first !== null && <First found={found} row={found.first} />}
      </section>
      {found.pairs > 0 && (
        <section class="section">
          <h2>Error along the run</h2>
          <DepthChart />
        </section>
      )}
      <Diagnoses found={found} />
      <StatusCounts found={found} />
      <Coverage found={found} />
      {found.notes.length > 0 && (
        <section class="section">
          <h2>Assumed</h2>
          <ul class="plain-list">
            {found.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

/** Where the runs part, as one large button. */
function First({ found, row }: { found: Verdict; row: number }) {
  const all = rows.value;
  if (!all) return null;
  const name = all.expected[row] ?? all.actual[row] ?? "";
  const layer = all.layer[row];
  const healed = found.healed === null ? null : all.expected[found.healed];
  return (
    <div class="first">
      <button type="button" class="first-card" data-testid="first-divergence" onClick={() => select(row)}>
        <span class="soft small">First tensor that went wrong</span>
        <span class="name mono">{name}</span>
        <span class="small figures">
          {layer !== null && layer !== undefined && `layer ${layer}, `}
          {all.shapes[all.shape[row] ?? 0]} {all.dtypes[all.dtype[row] ?? 0]}, relative error {figureText(all.error[row])}
        </span>
        <span class="arrow" aria-hidden="true">
          →
        </span>
      </button>
      {healed && found.healed !== null && (
        <p class="small">
          It healed at{" "}
          <button type="button" class="link mono" onClick={() => select(found.healed)}>
            {healed}
          </button>
          .
        </p>
      )}
      {(all.order[row] ?? 0) > 0 && <p class="small soft">{plural(all.order[row] ?? 0, "pair")} before it agree.</p>}
    </div>
  );
}

import type { Verdict } from "../api/types";
import { select } from "../state/page-state";

/** What probably happened; each leads to its tensor. */
export function Diagnoses({ found }: { found: Verdict }) {
  if (found.diagnoses.length === 0) return null;
  return (
    <section class="section">
      <h2>What probably happened</h2>
      <ul class="diagnoses">
        {found.diagnoses.map(({ row, at, kind, detail }) => (
          <li key={`${kind} ${at}`} class="card" data-testid="diagnosis">
            <strong>{kind.replaceAll("_", " ")}</strong>{" "}
            {row === null ? (
              <code>{at}</code>
            ) : (
              <button type="button" class="link mono" onClick={() => select(row)}>
                {at}
              </button>
            )}
            <p>{detail}</p>
          </li>
        ))}
      </ul>
    </section>
  );
}

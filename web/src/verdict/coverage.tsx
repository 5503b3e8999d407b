import { STATUSES, type Rows, type Verdict } from "../api/types";
import { plural } from "../state/format";
import { rows, select } from "../state/page-state";
import { NearNames } from "./near-names";
import { someOf } from "./verdict-words";

const MOST = 20;

/** What the answer is about, and what it says nothing about. */
export function Coverage({ found }: { found: Verdict }) {
  const all = rows.value;
  if (!all) return null;
  const { unpaired_expected, unpaired_actual, refused_count } = found;
  const isWhole = unpaired_expected + unpaired_actual + refused_count === 0;
  const whole = found.pairs + unpaired_expected;
  return (
    <section class="section" data-testid="coverage">
      <h2>What was compared</h2>
      <p>
        {isWhole
          ? `All of it: each of the ${plural(found.pairs, "tensor")} has its partner.`
          : `${found.pairs.toLocaleString("en")} of ${plural(whole, "tensor")} of the expected run have a partner. The answer says nothing about the rest.`}
      </p>
      {!isWhole && whole > 0 && (
        <div class="share" role="img" aria-label={`${Math.round((100 * found.pairs) / whole)} % of the expected run has a partner`}>
          <span style={{ width: `${(100 * found.pairs) / whole}%` }} />
        </div>
      )}
      <Lone all={all} side="expected" count={unpaired_expected} />
      <Lone all={all} side="actual" count={unpaired_actual} />
      {refused_count > 0 && (
        <details class="fold" data-testid="refused">
          <summary>{plural(refused_count, "entry", "entries")} not read</summary>
          <ul class="plain-list">
            {found.refused.map(({ entry, reason }) => (
              <li key={`${entry}: ${reason}`}>
                <code>{entry}</code>: {reason}
              </li>
            ))}
          </ul>
          {refused_count > found.refused.length && <p class="soft">and {(refused_count - found.refused.length).toLocaleString("en")} more</p>}
        </details>
      )}
    </section>
  );
}

function Lone({ all, side, count }: { all: Rows; side: "expected" | "actual"; count: number }) {
  if (count === 0) return null;
  const status = STATUSES.indexOf(side === "expected" ? "only expected" : "only actual");
  const found = all.status.flatMap((other, row) => (other === status ? [row] : []));
  const { shown, more } = someOf(found, MOST);
  return (
    <details class="fold" data-testid={`unpaired-${side}`}>
      <summary>
        {count.toLocaleString("en")} only in the {side} run
      </summary>
      <ul class="plain-list">
        {shown.map((row) => (
          <li key={row}>
            <button type="button" class="link mono" onClick={() => select(row)}>
              {all[side][row]}
            </button>{" "}
            <span class="soft small">{all.shapes[all.shape[row] ?? 0]}</span> <NearNames row={row} />
          </li>
        ))}
      </ul>
      {more > 0 && <p class="soft">and {more.toLocaleString("en")} more: the list shows them all</p>}
    </details>
  );
}

import { useState } from "preact/hooks";

import type { Detail } from "../api/types";
import { applyRules, isMapping, rules } from "../state/mapping";
import { isBusy, rows } from "../state/page-state";
import { namesLike } from "./names-like";
import type { PairSides } from "./pair-sides";
import { rulePlace, withoutRule, withRule } from "./rule-set";
import { sideText } from "./rule-text";

const OTHER = { expected: "actual", actual: "expected" } as const;

/** Another partner for one of the two, or none. */
export function PairByHand({ detail, sides }: { detail: Detail; sides: PairSides }) {
  const [kept, setKept] = useState<"expected" | "actual">(sides.names.expected === null ? "actual" : "expected");
  const [filter, setFilter] = useState("");
  const [chosen, setChosen] = useState<string | null>(null);
  const isWaiting = isBusy.value || isMapping.value;
  const other = OTHER[kept];
  const own = sides.names[kept];
  const all = rows.value;
  if (own === null || !all) return null;
  const found = namesLike(all[other], filter, detail.near);
  const wanted = chosen !== null && found.names.includes(chosen) ? chosen : null;
  const place = rulePlace(rules.value, sides.names.expected, sides.names.actual);

  const pairWith = (name: string | null) => {
    const rule = { [kept]: sides.texts[kept], [other]: name === null ? "-" : sideText(name) };
    const made = { expected: rule["expected"] ?? "-", actual: rule["actual"] ?? "-", layout: null };
    void applyRules(withRule(rules.value, made), { expected: null, actual: null, [kept]: own, [other]: name });
  };

  return (
    <details class="by-hand" data-testid="pair-by-hand">
      <summary>Pair by hand</summary>
      {sides.names.expected !== null && sides.names.actual !== null && (
        <div class="choice" role="radiogroup" aria-label="Find another partner for">
          {(["expected", "actual"] as const).map((side) => (
            <label key={side}>
              <input type="radio" name="kept-side" checked={kept === side} onChange={() => { setKept(side); setChosen(null); }} />
              for the {side} one
            </label>
          ))}
        </div>
      )}
      <p>
        <code>{own}</code> <span class="soft">of the {kept} run goes with</span>
      </p>
      <label class="stacked">
        <span>Filter names of the {other} run</span>
        <input type="search" value={filter} data-testid="pair-filter" onInput={(event) => setFilter(event.currentTarget.value)} />
      </label>
      <label class="stacked">
        <span>
          Tensors of the {other} run{found.count > found.names.length && ` (${found.names.length} of ${found.count.toLocaleString("en")})`}
        </span>
        <select size={Math.min(8, Math.max(3, found.names.length))} data-testid="pair-choice" value={wanted ?? ""} onChange={(event) => setChosen(event.currentTarget.value)}>
          {found.names.map((name) => (
            <option key={name} value={name}>{name}</option>
          ))}
        </select>
      </label>
      <div class="row-of-buttons">
        <button type="button" class="primary" data-testid="pair-apply" disabled={wanted === null || isWaiting} onClick={() => pairWith(wanted)}>Pair them</button>
        <button type="button" disabled={isWaiting} data-testid="pair-none" onClick={() => pairWith(null)}>It has no partner</button>
        {place >= 0 && (
          <button type="button" disabled={isWaiting} onClick={() => void applyRules(withoutRule(rules.value, place), sides.names)}>
            Back to automatic
          </button>
        )}
      </div>
    </details>
  );
}

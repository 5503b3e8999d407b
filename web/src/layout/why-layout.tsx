import type { Detail } from "../api/types";
import { shapeText } from "../state/format";
import { rules } from "../state/mapping";
import { rulePlace, ruleWords } from "./rule-set";
import { pairSides } from "./pair-sides";

const MATCHED: Record<string, string> = {
  identical: "Paired because their names are equal.",
  shifted: "Paired because their names are equal but for the layers' numbers, which are all the same number apart.",
  role: "Paired because their names mean the same part of the model.",
  map: "Paired by a rule of yours.",
  single: "Paired because each run has nothing else.",
};

/** Why these two are compared, and why they lie so: in words. */
export function WhyLayout({ detail }: { detail: Detail }) {
  const { layout } = detail;
  const { names } = pairSides(detail);
  const rule = rules.value[rulePlace(rules.value, names.expected, names.actual)];
  const isLone = detail.expected === null || detail.actual.length === 0;
  return (
    <div class="why">
      <p>
        {detail.matched_by ? (MATCHED[detail.matched_by] ?? `Paired by ${detail.matched_by}.`) : "It has no partner in the other run."}{" "}
        {rule && <code>{ruleWords(rule)}</code>}
      </p>
      {layout && (
        <p>
          {layout.is_identity ? "They lie alike: nothing is moved." : <>The actual tensor is put so: <code>{layout.text}</code></>}
          {layout.expected_text && <>; the expected one so: <code>{layout.expected_text}</code></>}
        </p>
      )}
      {layout?.reason && <p class="soft small">{layout.is_given ? "As you said." : `${layout.reason}.`}</p>}
      {layout && !layout.reason && !layout.is_identity && <p class="soft small">Found from the numbers, which agree with it.</p>}
      {!layout && !isLone && (
        <p>
          No layout leads from <code>{shapeText(detail.actual[0]?.shape ?? [])}</code> to <code>{shapeText(detail.expected?.shape ?? [])}</code>:{" "}
          {detail.reason}
        </p>
      )}
    </div>
  );
}

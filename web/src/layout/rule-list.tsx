import { aboutRule, applyRules, copyMapping, isMapping, mappingFailure, rules, saveMapping } from "../state/mapping";
import { isBusy } from "../state/page-state";
import { ruleWords, withoutRule } from "./rule-set";

/** What the user has said so far; each rule can be taken back, and all of them saved. */
export function RuleList() {
  const all = rules.value;
  const isWaiting = isBusy.value || isMapping.value;
  const failure = mappingFailure.value;
  return (
    <div class="rules">
      <h3>Your mapping</h3>
      {failure && (
        <p class="failure" role="alert" data-testid="mapping-failure">
          {failure.message}
          {failure.hint && <span class="soft"> {failure.hint}</span>}
        </p>
      )}
      {all.length === 0 ? (
        <p class="soft small">No rules: everything was paired and laid out by itself.</p>
      ) : (
        <ul data-testid="rule-list">
          {all.map((rule, place) => (
            <li key={`${rule.expected} = ${rule.actual}`}>
              <code>{ruleWords(rule)}</code>
              {rule.layout && <code class="soft">: {rule.layout}</code>}
              <button
                type="button"
                class="quiet"
                disabled={isWaiting}
                aria-label={`Remove the rule ${ruleWords(rule)}`}
                onClick={() => void applyRules(withoutRule(all, place), aboutRule(rule))}
              >
                ✕
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="row-of-buttons">
        {all.length > 0 && (
          <>
            <button type="button" disabled={isWaiting} onClick={() => void applyRules([], { expected: null, actual: null })}>Remove all</button>
            <button type="button" data-testid="save-rules" onClick={() => void saveMapping(false)}>Save the rules</button>
            <button type="button" onClick={() => void copyMapping()}>Copy the rules</button>
          </>
        )}
        <button type="button" data-testid="save-whole-mapping" title="All pairs and layouts, as a file for outgrow compare --map" onClick={() => void saveMapping(true)}>
          Save the whole mapping
        </button>
      </div>
    </div>
  );
}

import { useEffect, useRef, useState } from "preact/hooks";

import { checkMapping } from "../api/client";
import type { Detail, MappingCheck } from "../api/types";
import { report } from "../state/banner";
import { shapeText } from "../state/format";
import { applyRules, isMapping, rules } from "../state/mapping";
import { isBusy } from "../state/page-state";
import { Latest } from "../state/tensor-latest";
import { DimsByHand } from "./dims-by-hand";
import { LayoutPicture } from "./layout-picture-view";
import type { PairSides } from "./pair-sides";
import { rulePlace, withoutRule, withRule } from "./rule-set";

/** Another layout for a pair, or for its stage in all layers: usual ones, by dims, or typed. */
export function ChangeLayout({ detail, sides }: { detail: Detail; sides: PairSides }) {
  const [text, setText] = useState(detail.layout?.hint ?? "");
  const [check, setCheck] = useState<MappingCheck | null>(null);
  const [isForAll, setForAll] = useState(false);
  const [isOpen, setOpen] = useState(false);
  const latest = useRef<Latest | null>(null);
  latest.current ??= new Latest(report);
  const { expected, actual } = sides.texts;

  useEffect(() => {
    if (!isOpen) return;
    const asked = text.trim();
    latest.current?.ask(async (signal) => setCheck(await checkMapping({ expected, actual, layout: asked || null }, signal)));
  }, [isOpen, text, expected, actual]);
  useEffect(() => () => latest.current?.stop(), []);

  const isWaiting = isBusy.value || isMapping.value;
  const stage = check?.for_all_layers ?? null;
  const place = rulePlace(rules.value, sides.names.expected, sides.names.actual);
  const isEmpty = text.trim() === "";

  function apply() {
    const about = isForAll && stage ? stage : { expected, actual };
    void applyRules(withRule(rules.value, { ...about, layout: text.trim() }), sides.names);
  }

  return (
    <details class="change" data-testid="change-layout" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Change the layout</summary>
      {check && check.common.length > 0 && (
        <div class="row-of-buttons" role="group" aria-label="Usual layouts for these shapes" data-testid="common-layouts">
          {check.common.map(({ name, layout }) => (
            <button type="button" key={layout} title={layout} aria-pressed={layout === text.trim()} onClick={() => setText(layout)}>
              {name}
            </button>
          ))}
        </div>
      )}
      {isOpen && detail.fused === null && check && (
        <DimsByHand check={check} text={text.trim()} sides={sides} onLayout={setText} />
      )}
      <label class="stacked">
        <span>
          As text: from <code>{shapeText(detail.actual[0]?.shape ?? [])}</code>
          {detail.actual.length > 1 && ` on ${detail.actual.length} ranks`} to <code>{shapeText(detail.expected?.shape ?? [])}</code>
        </span>
        <input
          type="text"
          class="mono"
          value={text}
          spellcheck={false}
          placeholder="permute(1, 0, 2), unsqueeze(0)"
          data-testid="layout-text"
          aria-describedby="layout-check"
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && check?.ok && !isEmpty && !isWaiting) apply();
          }}
        />
      </label>
      <p id="layout-check" aria-live="polite" data-testid="layout-check" class={check && !isEmpty ? (check.ok ? "fits" : "fits-not") : "soft"}>
        {isEmpty ? "Without a text the layout is found from the numbers." : check ? `${check.ok ? "✓" : "✗"} ${check.message}` : "…"}
      </p>
      {check?.ok && check.steps.length > 0 && text.trim() !== detail.layout?.hint && <LayoutPicture steps={check.steps} />}
      <div class="row-of-buttons">
        <button type="button" class="primary" data-testid="layout-apply" disabled={isEmpty || !check?.ok || check.layout !== text.trim() || isWaiting} onClick={apply}>
          Apply
        </button>
        {stage && (
          <label>
            <input type="checkbox" data-testid="layout-all-layers" checked={isForAll} onChange={(event) => setForAll(event.currentTarget.checked)} />{" "}
            to all layers: <code>{stage.expected} = {stage.actual}</code>
          </label>
        )}
        {place >= 0 && (
          <button type="button" disabled={isWaiting} onClick={() => void applyRules(withoutRule(rules.value, place), sides.names)}>
            Back to automatic
          </button>
        )}
      </div>
    </details>
  );
}

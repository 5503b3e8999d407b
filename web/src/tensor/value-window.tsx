import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Values } from "../api/types";
import { cursor, pointTo } from "../state/tensor-cursor";
import { isFinding } from "../state/tensor-find";
import type { Look } from "../state/tensor-place";
import { isEmpty, values as shown, valuesFailure } from "../state/tensor-values";
import { moveWindows } from "../state/tensor-view";
import { gridStep, movedCut } from "./grid-step";
import { ValueLine } from "./value-line";
import { ValuePlane } from "./value-plane";
import { TIP_ID, ValueTip } from "./value-tip";
import { WindowPages } from "./window-pages";
import { cellAt, sizeOf } from "./window-cells";

/** Whether the numbers stand below each other. */
const isUpright = (look: Look) => look.mode !== "plane" || (look.expected ?? look.actual)?.rows === null;

function Numbers({ look, values }: { look: Look; values: Values }) {
  if (!isUpright(look)) return <ValuePlane look={look} values={values} />;
  return (
    <div class="lines">
      <ValueLine look={look} values={values} />
    </div>
  );
}

/** Where it points; what stands there is looked up when it is drawn, since the numbers may change under it. */
interface Tip {
  row: number;
  column: number;
  left: number;
  top: number;
}

/** The very numbers of both sides, the keys that move among them, and what they tell when pointed at. */
export function ValueWindow({ look }: { look: Look }) {
  const frame = useRef<HTMLDivElement>(null);
  const [tip, setTip] = useState<Tip | null>(null);
  const found = shown.value;
  const here = cursor.value;

  useEffect(() => {
    // Another key came since: to go where the last one led would take that one back.
    if (cursor.peek() !== here) return;
    const cells = frame.current?.querySelectorAll<HTMLElement>(".cell.here") ?? [];
    // The other sides scroll along with the first.
    if (here.isFound || here.isWanted) cells[0]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (!here.isWanted || cells.length === 0) return;
    const wanted = [...cells].find((cell) => cell.dataset["side"] === side.current) ?? cells[0];
    wanted?.focus({ preventScroll: true });
    cursor.value = { ...here, isWanted: false };
  }, [here, found]);

  const side = useRef("expected");
  // Pointing at a number does not draw the others again.
  const numbers = useMemo(() => found && <Numbers {...found} />, [found]);

  if (!look.expected && !look.actual) return null;
  if (isEmpty(look)) return <p class="nothing">There are no numbers in it: a dim has size 0.</p>;
  if (!found) {
    return <p class={`nothing${valuesFailure.value ? "" : " reading"}`}>{valuesFailure.value ?? "Reading the numbers…"}</p>;
  }
  const now = found.look;
  const { values } = found;
  const isWaiting = found.look !== look || isFinding.value;
  const size = sizeOf(values);
  const isLine = isUpright(now);

  function pointAt(target: EventTarget | null) {
    const element = target instanceof Element ? target.closest<HTMLElement>(".cell[data-row]") : null;
    if (!element || !frame.current) return setTip(null);
    const row = Number(element.dataset["row"]);
    const column = Number(element.dataset["column"]);
    const box = element.getBoundingClientRect();
    const outer = frame.current.getBoundingClientRect();
    const left = Math.max(0, Math.min(box.left - outer.left, outer.width - 340));
    setTip({ row, column, left, top: box.bottom - outer.top + 4 });
    return element;
  }

  function onKey(event: KeyboardEvent) {
    if (event.key === "Escape" && tip) {
      setTip(null);
      event.stopPropagation();
      return;
    }
    if (event.altKey || event.metaKey || !(event.target instanceof Element) || !event.target.closest(".cell")) return;
    if (isLine && (event.key === "ArrowLeft" || event.key === "ArrowRight")) return void beside(event);
    const step = gridStep(event.key, event.ctrlKey, cursor.peek(), size, isLine);
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    if (step.down !== 0 || step.right !== 0) moveWindows((cut) => movedCut(cut, look, step.down, step.right));
    pointTo(step.row, step.column, true);
  }

  function beside(event: KeyboardEvent) {
    const cell = (event.target as Element).closest("td");
    const all = [...(cell?.parentElement?.querySelectorAll<HTMLElement>(".cell") ?? [])];
    const next = all[all.indexOf(cell as HTMLElement) + (event.key === "ArrowRight" ? 1 : -1)];
    event.preventDefault();
    event.stopPropagation();
    next?.focus();
  }

  return (
    <section class="values" aria-label="Numbers" aria-busy={isWaiting}>
      <WindowPages look={look} values={values} />
      <div
        ref={frame}
        class={`window${isWaiting ? " waiting" : ""}`}
        onKeyDown={onKey}
        onMouseOver={(event) => void pointAt(event.target)}
        onMouseLeave={() => setTip(null)}
        onFocusIn={(event) => {
          const element = pointAt(event.target);
          if (!element) return;
          side.current = element.dataset["side"] ?? "expected";
          element.setAttribute("aria-describedby", TIP_ID);
          pointTo(Number(element.dataset["row"]), Number(element.dataset["column"]));
        }}
        onFocusOut={(event) => {
          if (event.target instanceof Element) event.target.removeAttribute("aria-describedby");
          setTip(null);
        }}
      >
        {numbers}
        {tip && tip.row < size.height && tip.column < size.width && (
          <ValueTip cell={cellAt(values, tip.row, tip.column)} left={tip.left} top={tip.top} />
        )}
      </div>
    </section>
  );
}

import { isListShown } from "../frame/list-shown";
import { exportReport } from "../share/export-menu";
import { focusFilter, selectNeighbour, selectNextDifferent } from "../state/list-state";
import { isOpening, select, selectedRow, showOpen, verdict } from "../state/page-state";
import { focusSearch, jumpToMaximum, nextDifference } from "../state/tensor-find";
import { isHelpShown } from "./help-state";
import { actionOf, takesText } from "./key-match";
import type { Action, Needs } from "./key-table";

/** What each action does. */
const actions: Record<Action, () => void> = {
  help: () => (isHelpShown.value = true),
  verdict: () => select(null),
  open: () => verdict.peek() && showOpen(!isOpening.peek()),
  export: () => void exportReport("html"),
  leave,
  "toggle-list": () => (isListShown.value = !isListShown.peek()),
  "first-divergence": () => {
    const first = verdict.peek()?.first;
    if (first !== null && first !== undefined) select(first);
  },
  "next-tensor": () => selectNeighbour(1),
  "previous-tensor": () => selectNeighbour(-1),
  "next-wrong": () => selectNextDifferent(1),
  "previous-wrong": () => selectNextDifferent(-1),
  "filter-list": () => {
    isListShown.value = true;
    // It may have come back this moment.
    requestAnimationFrame(focusFilter);
  },
  "next-difference": () => nextDifference(1),
  "previous-difference": () => nextDifference(-1),
  "largest-difference": jumpToMaximum,
  "search-values": focusSearch,
};

/** Out of a field; with none, out of the tensor or the drop zones. */
function leave(): void {
  const focused = document.activeElement;
  if (focused instanceof HTMLElement && takesText(focused.tagName, focused.getAttribute("type") ?? "", focused.isContentEditable)) focused.blur();
  else if (verdict.peek() && (isOpening.peek() || selectedRow.peek() !== null)) select(isOpening.peek() ? selectedRow.peek() : null);
}

/** Listen on the whole page. */
export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isHelpShown.peek()) return;
    const target = event.target;
    const isTyping =
      target instanceof HTMLElement && takesText(target.tagName, target.getAttribute("type") ?? "", target.isContentEditable);
    const action = actionOf(
      {
        key: event.key, ctrlKey: event.ctrlKey, metaKey: event.metaKey, altKey: event.altKey,
        isComposing: event.isComposing, isTyping,
      },
      present(),
    );
    if (action === null) return;
    event.preventDefault();
    actions[action]();
  });
}

function present(): ReadonlySet<Needs> {
  const has = new Set<Needs>(["nothing"]);
  if (verdict.peek() && !isOpening.peek()) has.add("comparison");
  if (has.has("comparison") && selectedRow.peek() !== null) has.add("tensor");
  return has;
}

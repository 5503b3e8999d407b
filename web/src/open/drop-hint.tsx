import { isOpening, verdict } from "../state/page-state";
import { SIDE_TITLES } from "./drop-zone";
import { dropTarget } from "./drop-target";

/** While files are dragged over two runs that are looked at: which of them would be replaced. */
export function DropHint() {
  if (dropTarget.value === null || !verdict.value || isOpening.value) return null;
  return (
    <div class="drop-hint" aria-hidden="true" data-testid="drop-hint">
      {(["expected", "actual"] as const).map((side) => (
        <div key={side} class={dropTarget.value === side ? "over" : ""}>
          <strong>{SIDE_TITLES[side].title}</strong>
          <span>drop here to look at another one</span>
        </div>
      ))}
    </div>
  );
}

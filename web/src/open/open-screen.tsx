import { compare, sides, status } from "../state/page-state";
import { DropZone } from "./drop-zone";

/** Two drop zones and the button. */
export function OpenScreen() {
  const now = status.value;
  const isBusy = now.state === "opening" || now.state === "comparing";
  const isReady = sides.value.expected.length > 0 && sides.value.actual.length > 0;
  return (
    <main class="open">
      <h1>Which two runs?</h1>
      <div class="zones">
        <DropZone side="expected" />
        <DropZone side="actual" />
      </div>
      <button type="button" data-testid="compare-button" disabled={!isReady || isBusy} onClick={() => void compare()}>
        Compare
      </button>
      {isBusy && (
        <progress max={now.total || 1} value={now.done}>
          {now.item}
        </progress>
      )}
    </main>
  );
}

import type { Values } from "../api/types";
import { COUNTS, type Look } from "../state/tensor-place";
import { pointTo } from "../state/tensor-cursor";
import { moveWindows, setCount, setDifference } from "../state/tensor-view";
import { CopyMenu } from "./copy-menu";
import { movedCut } from "./grid-step";
import { windowText } from "./window-text";

/** Which part is shown, how much of it, and the way to the next part. */
export function WindowPages({ look, values }: { look: Look; values: Values }) {
  const isPlane = look.mode === "plane";

  function page(down: number, right: number) {
    moveWindows((cut) => movedCut(cut, look, down * look.count, right * look.count));
    pointTo(0, 0);
  }

  return (
    <div class="pages">
      <p class="where" data-testid="window-text">{windowText(look)}</p>
      <div class="moves" role="group" aria-label="Move the window">
        {isPlane && <button type="button" onClick={() => page(-1, 0)} aria-label={`${look.count} rows up`} title="page up">↑</button>}
        {isPlane && <button type="button" onClick={() => page(1, 0)} aria-label={`${look.count} rows down`} title="page down">↓</button>}
        <button type="button" onClick={() => page(0, -1)} aria-label={`previous ${look.count} numbers`} title="previous">←</button>
        <button type="button" onClick={() => page(0, 1)} aria-label={`next ${look.count} numbers`} title="next">→</button>
      </div>
      <label>
        show{" "}
        <select value={look.count} onChange={(event) => setCount(Number(event.currentTarget.value))}>
          {COUNTS[look.mode].map((count) => (
            <option key={count} value={count}>{isPlane ? `${count} × ${count}` : count}</option>
          ))}
        </select>
      </label>
      {values.expected && values.actual && (
        <label>
          <input type="checkbox" checked={look.difference} onChange={(event) => setDifference(event.currentTarget.checked)} />{" "}
          difference
        </label>
      )}
      <CopyMenu look={look} values={values} />
    </div>
  );
}

import type { Values } from "../api/types";
import { COUNTS, type Look } from "../state/tensor-place";
import { pointTo } from "../state/tensor-cursor";
import { moveWindows, setCount, setDifference } from "../state/tensor-view";
import { CopyMenu } from "./copy-menu";
import { turnedCut } from "./grid-step";
import { windowText } from "./window-text";

/** Which part is shown, how much of it, and the way to the next part. */
export function WindowPages({ look, values }: { look: Look; values: Values }) {
  const isPlane = look.mode === "plane";

  function page(down: number, right: number) {
    moveWindows((cut) => turnedCut(cut, look, down, right));
    pointTo(0, 0);
  }

  const isEnd = (down: number, right: number) =>
    [look.expected, look.actual].every((cut) => cut === null || turnedCut(cut, look, down, right).join() === cut.at.join());
  const turns: [number, number, string, string, string][] = [
    [-1, 0, "↑", `${look.count} rows up`, "page up"],
    [1, 0, "↓", `${look.count} rows down`, "page down"],
    [0, -1, "←", `previous ${look.count} numbers`, "previous"],
    [0, 1, "→", `next ${look.count} numbers`, "next"],
  ];

  return (
    <div class="pages">
      <p class="where" data-testid="window-text">{windowText(look)}</p>
      <div class="moves" role="group" aria-label="Move the window">
        {turns.slice(isPlane ? 0 : 2).map(([down, right, sign, name, title]) => (
          <button type="button" key={sign} disabled={isEnd(down, right)} onClick={() => page(down, right)} aria-label={name} title={title}>
            {sign}
          </button>
        ))}
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

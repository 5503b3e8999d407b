import { useState } from "preact/hooks";

import type { Cut, Mode, SideKey } from "../state/tensor-place";
import { setIndex, setRole } from "../state/tensor-view";

interface Properties {
  side: SideKey;
  dim: number;
  size: number;
  index: number;
  cut: Cut;
  mode: Mode;
  /** Whether the row has this side alone. */
  isLone: boolean;
}

/** One dim: whether it runs down or to the right, and where one is in it. */
export function DimControl({ side, dim, size, index, cut, mode, isLone }: Properties) {
  // What is being typed need not be an index yet.
  const [typed, setTyped] = useState<string | null>(null);
  const role = cut.rows === dim ? "rows" : cut.columns === dim ? "columns" : null;
  const prefix = side === "actual" && !isLone ? "slice-actual" : "slice";
  const name = `${side} dim ${dim}`;
  const last = Math.max(0, size - 1);
  const shown = typed !== null && (!/^\d+$/.test(typed) || Number(typed) === index) ? typed : index;

  function type(text: string) {
    setTyped(text);
    if (/^\d+$/.test(text.trim())) setIndex(side, dim, Number(text));
  }

  return (
    <div class={`dim${role && mode !== "flat" ? " shown" : ""}${size === 1 ? " single" : ""}`}>
      <span class="dim-name">
        dim {dim} <span class="soft">of {size}</span>
      </span>
      <span class="roles" role="group" aria-label={`How dim ${dim} is shown`}>
        <button
          type="button"
          class="role"
          aria-pressed={mode !== "flat" && role === "rows"}
          disabled={mode === "flat" || cut.shape.length < 2}
          aria-label={`${name} as rows`}
          title={mode === "line" ? "downwards in the heat map" : "downwards"}
          onClick={() => setRole(side, dim, "rows")}
        >
          ↓
        </button>
        <button
          type="button"
          class="role"
          aria-pressed={mode !== "flat" && role === "columns"}
          disabled={mode === "flat" || cut.shape.length < 2}
          aria-label={`${name} as columns`}
          title={mode === "line" ? "along the line" : "to the right"}
          onClick={() => setRole(side, dim, "columns")}
        >
          →
        </button>
      </span>
      <input
        type="range"
        min={0}
        max={last}
        value={index}
        disabled={last === 0}
        aria-label={`${name}, index`}
        data-testid={`${prefix.replace("slice", "slice-slider").replace("-slider-actual", "-actual-slider")}-${dim}`}
        onInput={(event) => setIndex(side, dim, Number(event.currentTarget.value))}
        onChange={(event) => setIndex(side, dim, Number(event.currentTarget.value))}
      />
      <input
        type="number"
        min={0}
        max={last}
        step={1}
        value={shown}
        aria-label={`${name}, index as a number`}
        data-testid={`${prefix}-dim-${dim}`}
        onInput={(event) => type(event.currentTarget.value)}
        onBlur={() => setTyped(null)}
        onKeyDown={(event) => {
          if (event.key === "Enter" || event.key === "ArrowUp" || event.key === "ArrowDown") setTyped(null);
        }}
      />
    </div>
  );
}

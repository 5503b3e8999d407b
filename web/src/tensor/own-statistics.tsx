import { useEffect } from "preact/hooks";

import type { Detail } from "../api/types";
import { areOwnFiguresOpen, ownFigures } from "../state/own-figures";
import { FiguresTable } from "./figures-table";
import "./statistics.css";

/** Figures of tensors that were not measured with a partner. */
export function OwnStatistics({ detail }: { detail: Detail }) {
  const found = ownFigures.value?.row === detail.row ? ownFigures.value.figures : null;
  useEffect(() => () => void (areOwnFiguresOpen.value = false), []);
  const columns = (["expected", "actual"] as const).flatMap((side) =>
    (found?.[side] ?? []).map((figures, rank, all) => ({ name: all.length > 1 ? `${side}, rank ${rank}` : side, figures })),
  );
  return (
    <details
      class="fold"
      data-testid="statistics"
      open={areOwnFiguresOpen.value}
      onToggle={(event) => (areOwnFiguresOpen.value = event.currentTarget.open)}
    >
      <summary>Statistics</summary>
      <div class="statistics">
        {found ? <FiguresTable columns={columns} /> : <p class="soft" aria-live="polite">Counting…</p>}
      </div>
    </details>
  );
}

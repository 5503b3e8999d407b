import { STATUSES } from "../api/types";
import { figureText } from "../state/format";
import { rows, select, selectedRow } from "../state/page-state";

/** All tensors, in layer order. */
export function TensorList() {
  const all = rows.value;
  if (!all) return null;
  return (
    <nav class="list" aria-label="Tensors">
      {all.status.slice(0, 200).map((status, row) => (
        <button
          type="button"
          key={row}
          class="row"
          data-testid="tensor-row"
          data-name={all.expected[row] ?? all.actual[row]}
          data-status={STATUSES[status]}
          aria-current={selectedRow.value === row}
          onClick={() => select(row)}
        >
          {all.expected[row] ?? all.actual[row]} <small>{figureText(all.error[row])}</small>
        </button>
      ))}
    </nav>
  );
}

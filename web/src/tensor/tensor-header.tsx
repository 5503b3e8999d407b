import type { Detail, SideDetail } from "../api/types";
import { shapeText } from "../state/format";
import { rows, verdict } from "../state/page-state";
import { goToNeighbour } from "../state/tensor-neighbours";
import { neighbourOf } from "./neighbour-row";

/** Which two tensors, what was found about them, and the way to the next ones. */
export function TensorHeader({ detail }: { detail: Detail }) {
  const { expected, actual } = detail;
  const first = actual[0];
  const isSameName = expected && first && expected.name === first.name;
  const isFirst = verdict.value?.first === detail.row;
  return (
    <header class="tensor-head">
      <div class="tensor-title">
        <h1>
          <code>{expected?.name ?? first?.name ?? detail.entry}</code>
        </h1>
        <span class={`status ${statusClass(detail.status)}`}>{detail.status}</span>
        {isFirst && <span class="status is-first">first divergence</span>}
        <Neighbours row={detail.row} />
      </div>
      <ul class="sides">
        {expected && <Facts side="expected" facts={expected} ranks={1} name={null} />}
        {first && <Facts side="actual" facts={first} ranks={actual.length} name={isSameName || !expected ? null : first.name} />}
      </ul>
      <p class="reason">{detail.reason}</p>
      {detail.note && <p class="soft small">{detail.note}</p>}
      {detail.diagnoses.map((diagnosis) => (
        <p class="diagnosis" key={diagnosis.kind}>
          <strong>{diagnosis.kind.replaceAll("_", " ")}</strong> {diagnosis.detail}
        </p>
      ))}
      {detail.near.length > 0 && (
        <p class="soft small">
          Named alike in the other run: {detail.near.map((name) => <code key={name}>{name} </code>)}
        </p>
      )}
    </header>
  );
}

function Facts({ side, facts, ranks, name }: { side: string; facts: SideDetail; ranks: number; name: string | null }) {
  return (
    <li>
      <span class="soft">{side}</span> {name && <code>{name}</code>} <code>{facts.dtype}</code> <code>{shapeText(facts.shape)}</code>
      {ranks > 1 && <span class="soft"> on {ranks} ranks</span>}
      {facts.kind !== "tensor" && <span class="soft"> {facts.kind}</span>}
    </li>
  );
}

function Neighbours({ row }: { row: number }) {
  const all = rows.value;
  if (!all) return null;
  const buttons = [
    ["previous", -1, false, "←"],
    ["next", 1, false, "→"],
    ["previous different", -1, true, "⇤≠"],
    ["next different", 1, true, "≠⇥"],
  ] as const;
  return (
    <span class="moves" role="group" aria-label="Other tensors">
      {buttons.map(([name, direction, isDifferent, sign]) => (
        <button
          type="button"
          key={name}
          aria-label={`${name} tensor`}
          title={`${name} tensor`}
          data-testid={`tensor-${name.replace(" ", "-")}`}
          disabled={neighbourOf(all, row, direction, isDifferent) === null}
          onClick={() => goToNeighbour(direction, isDifferent)}
        >
          {sign}
        </button>
      ))}
    </span>
  );
}

const statusClass = (status: string) => status.replace(" ", "-");

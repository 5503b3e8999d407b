import type { Rows } from "../api/types";
import { STATUSES } from "../api/types";
import { figureText } from "../state/format";
import { errorShare, nameParts, otherName, rowLabel, rowName } from "./row-text";
import { kindOf } from "../state/list-state";
import { StatusMark, statusClass } from "./status-mark";

interface Props {
  rows: Rows;
  row: number;
  top: number;
  isSelected: boolean;
  isActive: boolean;
  role: "option" | "treeitem";
  /** Its place among the rows of its group, from 1, and how many those are. */
  place: number;
  size: number;
}

/** One tensor on one line. */
export function RowLine({ rows, row, top, isSelected, isActive, role, place, size }: Props) {
  const name = rowName(rows, row);
  const other = otherName(rows, row);
  const status = rows.status[row] as number;
  const error = rows.error[row];
  const dtype = rows.dtypes[rows.dtype[row] as number] ?? "";
  const shape = rows.shapes[rows.shape[row] as number] ?? "";
  return (
    <div
      id={`row-${row}`}
      class={`tensor-row ${statusClass(status)}${isActive ? " active" : ""}`}
      style={{ transform: `translateY(${top}px)` }}
      role={role}
      aria-label={rowLabel(rows, row)}
      aria-selected={isSelected}
      aria-level={role === "treeitem" ? 2 : undefined}
      aria-posinset={place}
      aria-setsize={size}
      title={`${name}${other === null ? "" : `\n→ ${other}`}\n${STATUSES[status]} · ${dtype} ${shape}`}
      data-testid="tensor-row"
      data-name={name}
      data-status={STATUSES[status]}
      data-row={row}
    >
      <StatusMark status={status} />
      <span class="names">
        <NameText name={name} />
        {other !== null && <NameText name={other} isSecond />}
      </span>
      <span class="kind">{kindOf(rows, row)}</span>
      <span class="bar">
        <i style={{ transform: `scaleX(${errorShare(error)})` }} />
      </span>
      <span class="figure">{figureText(error)}</span>
    </div>
  );
}

/** A name that loses its middle, not its end, where there is no room. */
function NameText({ name, isSecond = false }: { name: string; isSecond?: boolean }) {
  const [head, tail] = nameParts(name);
  return (
    <span class={isSecond ? "name second" : "name"}>
      <span class="head">{head}</span>
      <span class="tail">{tail}</span>
    </span>
  );
}

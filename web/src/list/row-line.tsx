import { useMemo } from "preact/hooks";

import type { Rows } from "../api/types";
import { STATUSES } from "../api/types";
import { figureText } from "../state/format";
import { kindOf } from "../state/list-state";
import { errorShare, nameParts, otherName, rowLabel, rowName } from "./row-text";
import { StatusMark, statusClass } from "./status-mark";

interface Props {
  rows: Rows;
  row: number;
  top: number;
  isSelected: boolean;
  isActive: boolean;
  role: "option" | "treeitem";
  /** Whether a header above it says its layer. */
  isBelowLayer: boolean;
  /** Its place among the rows of its group, from 1, and how many those are. */
  place: number;
  size: number;
}

/** One tensor on one line; drawn again only where something of it has changed. */
export function RowLine(props: Props) {
  const { rows, row, top, isSelected, isActive, role, isBelowLayer, place, size } = props;
  return useMemo(() => drawnLine(props), [rows, row, top, isSelected, isActive, role, isBelowLayer, place, size]);
}

function drawnLine({ rows, row, top, isSelected, isActive, role, isBelowLayer, place, size }: Props) {
  const name = rowName(rows, row);
  const other = otherName(rows, row);
  const layer = rows.layer[row] ?? null;
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
        <NameText name={name} layer={layer} isBelowLayer={isBelowLayer} />
        {other !== null && <NameText name={other} layer={layer} isBelowLayer={isBelowLayer} isSecond />}
      </span>
      <span class="kind">{kindOf(rows, row)}</span>
      <span class="bar">
        <i style={{ transform: `scaleX(${errorShare(error)})` }} />
      </span>
      <span class="figure">{figureText(error)}</span>
    </div>
  );
}

interface NameProps {
  name: string;
  layer: number | null;
  isBelowLayer: boolean;
  isSecond?: boolean;
}

/** A name that loses its beginning, then its middle, not its end, where there is no room. */
function NameText({ name, layer, isBelowLayer, isSecond = false }: NameProps) {
  const { shared, head, tail } = nameParts(name, layer, isBelowLayer);
  return (
    <span class={isSecond ? "name second" : "name"}>
      {shared && <span class="shared">{shared}</span>}
      {head && <span class="head">{head}</span>}
      <span class="tail">{tail}</span>
    </span>
  );
}

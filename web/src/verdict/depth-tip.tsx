import { STATUSES, type Rows } from "../api/types";
import { otherName, rowName } from "../list/row-text";
import { StatusMark } from "../list/status-mark";
import { figureText } from "../state/format";
import type { DepthPoints } from "./depth-points";
import { pointX, pointY, type Plot, type Span } from "./depth-scale";
import { pointLabel } from "./depth-words";

interface Props {
  /** The point that is pointed at; -1 for none. */
  point: number;
  points: DepthPoints;
  rows: Rows;
  span: Span;
  plot: Plot;
  /** Whether the keyboard led here, so that it has to be said. */
  isSpoken: boolean;
}

/** Which tensor is pointed at: a ring around its point, and a few words. */
export function DepthTip({ point, points, rows, span, plot, isSpoken }: Props) {
  const isShown = point >= span.from && point <= span.to && point < points.count && point >= 0;
  const row = isShown ? (points.rows[point] as number) : -1;
  return (
    <>
      <p class="depth-spoken" role="status">
        {isShown && isSpoken ? pointLabel(rows, row) : ""}
      </p>
      {isShown && <Tip row={row} rows={rows} x={pointX(point, span, plot)} y={pointY(point, points, plot)} plot={plot} />}
    </>
  );
}

function Tip({ row, rows, x, y, plot }: { row: number; rows: Rows; x: number; y: number; plot: Plot }) {
  const status = rows.status[row] as number;
  const other = otherName(rows, row);
  const isLeft = x > plot.left + plot.width / 2;
  const side = isLeft ? { right: `calc(100% - ${x - 12}px)` } : { left: `${x + 12}px` };
  return (
    <>
      <i class="depth-ring" style={{ left: `${x}px`, top: `${y}px` }} />
      <div class="depth-tip" data-testid="depth-tip" aria-hidden="true" style={{ ...side, top: `${Math.min(y + 10, plot.top + plot.height - 30)}px` }}>
        <code>{rowName(rows, row)}</code>
        {other !== null && <code class="second">→ {other}</code>}
        <span>
          <StatusMark status={status} /> {STATUSES[status]}, relative error {figureText(rows.error[row])}
        </span>
      </div>
    </>
  );
}

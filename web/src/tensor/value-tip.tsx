import { indexOf, type WindowCell } from "./window-cells";

export const TIP_ID = "value-tip";

interface Properties {
  cell: WindowCell;
  /** Pixels from the left or from the right edge of what it stands in. */
  left?: number;
  right?: number;
  top: number;
  note?: string | null;
}

/** Everything about one place: own index and number of each side, what lies between. */
export function ValueTip({ cell, left, right, top, note = null }: Properties) {
  return (
    <div class="tip" role="tooltip" id={TIP_ID} style={{ ...(right === undefined ? { left: `${left ?? 0}px` } : { right: `${right}px` }), top: `${top}px` }}>
      <dl>
        {(["expected", "actual"] as const).map((side) => {
          const found = cell[side];
          return (
            found && (
              <div key={side}>
                <dt>
                  {side} [{indexOf(cell, side)}]
                </dt>
                <dd>{found.text}</dd>
              </div>
            )
          );
        })}
        {cell.difference && (
          <div>
            <dt>difference</dt>
            <dd>{cell.difference.text}</dd>
          </div>
        )}
        {cell.ulp !== null && (
          <div>
            <dt>ULP</dt>
            <dd>{cell.ulp}</dd>
          </div>
        )}
      </dl>
      {cell.expected && cell.actual && <p>{verdictOf(cell)}</p>}
      {note !== null && <p class="soft">{note}</p>}
    </div>
  );
}

function verdictOf(cell: WindowCell): string {
  if (cell.differs) return "≠ differs by more than is allowed";
  return cell.isApart ? "≈ within what is allowed" : "equal";
}

import { indexOf, type WindowCell } from "./window-cells";

export const TIP_ID = "value-tip";

/** Everything about one place: own index and number of each side, what lies between. */
export function ValueTip({ cell, left, top, note = null }: { cell: WindowCell; left: number; top: number; note?: string | null }) {
  return (
    <div class="tip" role="tooltip" id={TIP_ID} style={{ left: `${left}px`, top: `${top}px` }}>
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
  return cell.expected?.text === cell.actual?.text ? "equal" : "within what is allowed";
}

import { cursor } from "../state/tensor-cursor";
import type { Values } from "../api/types";
import type { Look } from "../state/tensor-place";
import { largestOf } from "./number-look";
import { ValueCell } from "./value-cell";
import { allCells, indexOf, shownOf } from "./window-cells";

/** A line of numbers, one below the other: index, both sides, what lies between. */
export function ValueLine({ look, values }: { look: Look; values: Values }) {
  const cells = allCells(values)[0] ?? [];
  const largest = largestOf(values.expected?.value ?? [], values.actual?.value ?? []);
  const largestDifference = largestOf(values.difference);
  const { expected, actual } = values;
  const hasBoth = expected !== null && actual !== null;
  const hasTwoIndices = hasBoth && cells.some((cell) => indexOf(cell, "expected") !== indexOf(cell, "actual"));
  const here = cursor.value;
  const place = Math.min(here.column, cells.length - 1);
  return (
    <table class="numbers line" role="grid" aria-label="Numbers of both sides" aria-rowcount={cells.length + 1}>
      <thead>
        <tr>
          <th scope="col">{hasTwoIndices ? "expected index" : "index"}</th>
          {expected && <th scope="col" class="of-number">expected</th>}
          {hasTwoIndices && <th scope="col">actual index</th>}
          {actual && <th scope="col" class="of-number">actual</th>}
          {hasBoth && look.difference && <th scope="col" class="of-number">actual − expected</th>}
          {hasBoth && look.difference && <th scope="col" class="of-number">ULP</th>}
        </tr>
      </thead>
      <tbody>
        {cells.map((cell) => {
          const isHere = cell.column === place;
          const shared = { row: 0, column: cell.column, isDifferent: cell.differs, isApart: cell.isApart, isHere, isFound: isHere && here.isFound };
          return (
            <tr key={cell.column}>
              <th scope="row" class="index">{indexOf(cell, expected ? "expected" : "actual")}</th>
              {expected && (
                <ValueCell {...shared} isFirst side="expected" {...shownOf(cell.expected)} largest={largest} />
              )}
              {hasTwoIndices && <td class="index" role="gridcell">{indexOf(cell, "actual")}</td>}
              {actual && <ValueCell {...shared} isFirst={!expected} side="actual" {...shownOf(cell.actual)} largest={largest} />}
              {hasBoth && look.difference && (
                <ValueCell {...shared} isFirst={false} side="difference" {...shownOf(cell.difference)} largest={largestDifference} />
              )}
              {hasBoth && look.difference && <td class="ulp" role="gridcell">{cell.ulp ?? "–"}</td>}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

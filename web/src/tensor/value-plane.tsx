import { useEffect, useRef } from "preact/hooks";

import type { Figure, Values } from "../api/types";
import { cursor } from "../state/tensor-cursor";
import type { Cut, Look, SideKey } from "../state/tensor-place";
import { largestOf } from "./number-look";
import { ValueCell } from "./value-cell";
import { allCells, shownOf, type WindowCell } from "./window-cells";

const TITLES = { expected: "expected", actual: "actual", difference: "actual − expected" };

/** A rectangle of numbers for each side, beside each other. */
export function ValuePlane({ look, values }: { look: Look; values: Values }) {
  const cells = allCells(values);
  const sizes = largestOf(values.expected?.value ?? [], values.actual?.value ?? []);
  const shown: (SideKey | "difference")[] = [];
  if (values.expected) shown.push("expected");
  if (values.actual) shown.push("actual");
  if (shown.length === 2 && look.difference) shown.push("difference");
  const frame = useRef<HTMLDivElement>(null);
  const along = useRef(new Map<HTMLElement, string>());

  function scrollTogether(moved: HTMLElement) {
    // One that was moved along tells of it, too, and may not have come as far.
    if (along.current.get(moved) === placeOf(moved)) return;
    for (const other of frame.current?.querySelectorAll<HTMLElement>(".scrolling") ?? []) {
      if (other === moved) continue;
      // Columns of numbers are as wide on both sides, those of differences wider: the same column is to be seen.
      other.scrollLeft = (moved.scrollLeft * widthIn(other)) / widthIn(moved);
      other.scrollTop = moved.scrollTop;
      along.current.set(other, placeOf(other));
    }
  }

  // Other numbers make columns of another width.
  useEffect(() => {
    const first = frame.current?.querySelector<HTMLElement>(".scrolling");
    if (!first) return;
    along.current.clear();
    scrollTogether(first);
  }, [values]);

  return (
    <div class="planes" ref={frame} onScrollCapture={(event) => scrollTogether(event.target as HTMLElement)}>
      {shown.map((side) => (
        <Grid
          key={side}
          side={side}
          cells={cells}
          digits={digitsOf(cells, side === "difference" ? ["difference"] : ["expected", "actual"])}
          cut={look.expected && side !== "actual" ? look.expected : (look.actual ?? look.expected)}
          largest={side === "difference" ? largestOf(values.difference) : sizes}
        />
      ))}
    </div>
  );
}

const placeOf = (grid: HTMLElement) => `${grid.scrollLeft} ${grid.scrollTop}`;

/** Of a column. */
function widthIn(grid: HTMLElement): number {
  return grid.querySelector<HTMLElement>(".cell")?.offsetWidth || 1;
}

/** Of the longest number. */
function digitsOf(cells: WindowCell[][], shown: readonly (SideKey | "difference")[]): number {
  return Math.max(1, ...cells.flat().flatMap((cell) => shown.map((side) => cell[side]?.text.length ?? 0)));
}

interface GridProperties {
  side: SideKey | "difference";
  cells: WindowCell[][];
  digits: number;
  cut: Cut | null;
  largest: number;
}

function Grid({ side, cells, digits, cut, largest }: GridProperties) {
  const here = cursor.value;
  const first = (dim: number | null) => (cut && dim !== null ? (cut.at[dim] ?? 0) : 0);
  const row0 = first(cut?.rows ?? null);
  const column0 = first(cut?.columns ?? null);
  const width = cells[0]?.length ?? 0;
  const isAt = (row: number, column: number) =>
    row === Math.min(here.row, cells.length - 1) && column === Math.min(here.column, width - 1);
  return (
    <figure class="plane" style={{ "--digits": digits }}>
      <figcaption>{TITLES[side]}</figcaption>
      <div class="scrolling">
        <table class="numbers" role="grid" aria-label={`Numbers, ${TITLES[side]}`}>
          <thead>
            <tr>
              <th class="corner" scope="col" title={`dim ${cut?.rows ?? "–"} downwards, dim ${cut?.columns ?? "–"} to the right`}>
                {cut?.rows ?? ""}↓{cut?.columns ?? ""}→
              </th>
              {Array.from({ length: width }, (_, column) => (
                <th scope="col" key={column} class="of-number">{column0 + column}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {cells.map((line, row) => (
              <tr key={row}>
                <th scope="row" class="index">{row0 + row}</th>
                {line.map((cell) => {
                  const isHere = isAt(row, cell.column);
                  const found: { text: string; value: Figure; index?: string } | null = cell[side];
                  return (
                    <ValueCell
                      key={cell.column}
                      side={side}
                      {...shownOf(found)}
                      largest={largest}
                      isDifferent={cell.differs}
                      isApart={cell.isApart}
                      isHere={isHere}
                      isFound={isHere && here.isFound}
                      isFirst
                      row={row}
                      column={cell.column}
                    />
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

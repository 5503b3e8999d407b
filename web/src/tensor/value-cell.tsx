import { numberClass } from "./number-look";
import type { Figure } from "../api/types";
import type { SideKey } from "../state/tensor-place";

interface Properties {
  side: SideKey | "difference";
  text: string | null;
  value: Figure | undefined;
  index: string | null;
  largest: number;
  isDifferent: boolean;
  isApart: boolean;
  isHere: boolean;
  isFound: boolean;
  /** Whether the keyboard enters the numbers here. */
  isFirst: boolean;
  row: number;
  column: number;
}

/** One number. What stands beside it (a mark where the sides differ) is drawn, so that the text is the number alone. */
export function ValueCell(props: Properties) {
  const { side, text, value, index, largest, isDifferent, isApart, isHere, isFound, isFirst, row, column } = props;
  if (text === null) return <td class="cell gone" role="gridcell" aria-label="no number here" />;
  const classes = ["cell", side, numberClass(value, largest)];
  if (isDifferent) classes.push("differs");
  else if (isApart) classes.push("apart");
  if (isFound) classes.push("found");
  if (isHere) classes.push("here");
  return (
    <td
      class={classes.join(" ")}
      role="gridcell"
      tabIndex={isHere && isFirst ? 0 : -1}
      data-testid={`value-${side}`}
      data-index={index ?? undefined}
      data-row={row}
      data-column={column}
      data-side={side}
      aria-selected={isFound || undefined}
    >
      {text}
    </td>
  );
}

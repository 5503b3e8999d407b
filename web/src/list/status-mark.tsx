import { STATUSES } from "../api/types";

/** A shape for each status, by its number, in a box of 12 by 12: colour alone says nothing. The chart has the same shapes. */
const SHAPES = [
  { line: "M2 6.5 4.8 9.2 10 3.2" },
  { fill: "M6 .6 11.4 6 6 11.4 .6 6Z" },
  { fill: "M6 1.4 11.2 10.6H.8Z" },
  { line: "M6 1.5A4.5 4.5 0 1 0 6 10.5 4.5 4.5 0 1 0 6 1.5Z" },
  { line: "M6.5 1.5H10.5V10.5H6.5", fill: "M1 .8H6V11.2H1Z", faint: true },
  { line: "M5.5 1.5H1.5V10.5H5.5", fill: "M11 .8H6V11.2H11Z", faint: true },
  { line: "M6 1.5A4.5 4.5 0 1 0 6 10.5 4.5 4.5 0 1 0 6 1.5ZM3 9 9 3" },
] as { line?: string; fill?: string; faint?: boolean }[];

/** The shape and colour of a status, by its number; the word stands beside it or in the name that is read aloud. */
export function StatusMark({ status }: { status: number }) {
  const { line, fill, faint } = SHAPES[status]!;
  return (
    <svg class={`mark ${statusClass(status)}`} viewBox="0 0 12 12" aria-hidden="true" focusable="false">
      {fill && <path d={fill} class="filled" />}
      {line && <path d={line} class={faint ? "drawn faint" : "drawn"} />}
    </svg>
  );
}

/** The class that gives a status its colour. */
export function statusClass(status: number): string {
  return `is-${(STATUSES[status] as string).replace(" ", "-")}`;
}

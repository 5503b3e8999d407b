import { STATUSES } from "../api/types";

/** A shape for each status, by its number, in a box of 12 by 12: colour alone says nothing. */
const SHAPES = [
  "M2.5 6.5 5 9 9.5 3.5",
  "M6 1 11 6 6 11 1 6Z",
  "M6 2 11 10.5H1Z",
  "M6 1.5A4.5 4.5 0 1 0 6 10.5 4.5 4.5 0 1 0 6 1.5ZM6 4V8M4 6H8",
  "M2 1.5H6V10.5H2ZM6 1.5H10V10.5H6",
  "M10 1.5H6V10.5H10ZM6 1.5H2V10.5H6",
  "M6 1.5A4.5 4.5 0 1 0 6 10.5 4.5 4.5 0 1 0 6 1.5ZM3 9 9 3",
];

/** The shape and colour of a status. */
export function StatusMark({ status }: { status: number }) {
  return (
    <svg class={`mark ${statusClass(status)}`} viewBox="0 0 12 12" aria-hidden="true">
      <path d={SHAPES[status]} />
    </svg>
  );
}

/** The class that gives a status its colour. */
export function statusClass(status: number): string {
  return `is-${(STATUSES[status] as string).replace(" ", "-")}`;
}

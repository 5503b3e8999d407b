import { STATUSES } from "../api/types";
import { Sign } from "../style/sign";

/** The sign and colour of a status, by its number; the word stands beside it or in the name that is read aloud. */
export function StatusMark({ status }: { status: number }) {
  return (
    <span class={`mark ${statusClass(status)}`}>
      <Sign of={STATUSES[status]!} size={14} />
    </span>
  );
}

/** The class that gives a status its colour. */
export function statusClass(status: number): string {
  return `is-${(STATUSES[status] as string).replace(" ", "-")}`;
}

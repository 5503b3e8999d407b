import { select, verdict } from "../state/page-state";

/** What is compared, and what can be done with it. */
export function Header() {
  const found = verdict.value;
  return (
    <header class="header">
      <button type="button" class="brand" onClick={() => select(null)}>
        outgrow compare
      </button>
      {found && (
        <span class="labels">
          {found.expected} · {found.actual.join(", ")}
        </span>
      )}
    </header>
  );
}

import { isBusy, isOpening, rows, select, selectedRow, showOpen, status, verdict } from "../state/page-state";
import { isHelpShown } from "../keys/help-state";
import { isListShown } from "../frame/list-shown";
import { ExportMenu } from "./export-menu";
import { halves, shortLabels } from "./middle";

/** What is compared, and what can be done with it. */
export function Header() {
  const found = verdict.value;
  const isCompared = found !== null && !isOpening.value;
  const short = found ? shortLabels([found.expected, ...found.actual]) : [];
  return (
    <>
      <header class="header">
        <span class="brand">
          <Mark />
          <span class={found ? "hide-narrow" : ""}>outgrow compare</span>
        </span>
        <span class="labels">
          {found && (
            <>
              <Label side="expected" names={[found.expected]} short={short[0]} />
              <span aria-hidden="true">↔</span>
              <Label side="actual" names={found.actual} short={short[1]} />
            </>
          )}
        </span>
        <nav class="tools" aria-label="Views and tools">
          {isCompared && (
            <>
              <button type="button" aria-pressed={isListShown.value} onClick={() => (isListShown.value = !isListShown.value)}>
                List
              </button>
              <button type="button" aria-current={selectedRow.value === null ? "page" : undefined} onClick={() => select(null)}>
                Verdict
              </button>
              <button type="button" data-testid="open-others" onClick={() => showOpen(true)}>
                Open others
              </button>
              <ExportMenu />
            </>
          )}
          {found && isOpening.value && (
            <button type="button" onClick={() => showOpen(false)}>
              Back to the verdict
            </button>
          )}
          <button type="button" class="icon" aria-label="Keys" title="Keys (?)" aria-haspopup="dialog" onClick={() => (isHelpShown.value = true)}>
            ?
          </button>
        </nav>
      </header>
      {isBusy.value && rows.value && !isOpening.value && (
        <progress class="working" aria-label="Comparing anew" max={status.value.total || 1} value={status.value.done} />
      )}
    </>
  );
}

function Label({ side, names, short = "" }: { side: string; names: string[]; short?: string | undefined }) {
  const [start, end] = halves(short);
  const more = names.length > 1 ? ` +${names.length - 1}` : "";
  return (
    <span class="label" title={`${side}: ${names.join(", ")}`}>
      <span class="side-name">{side}</span>
      <span class="text">
        <span class="start">{start}</span>
        <span class="end">
          {end}
          {more}
        </span>
      </span>
    </span>
  );
}

function Mark() {
  return (
    <svg width="18" height="18" viewBox="0 0 16 16" aria-hidden="true">
      <rect x="1" y="6" width="6" height="9" rx="1" fill="var(--accent)" />
      <rect x="9" y="1" width="6" height="14" rx="1" fill="var(--differs)" />
    </svg>
  );
}

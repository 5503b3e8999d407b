import type { TargetedKeyboardEvent } from "preact";

import { STATUSES } from "../api/types";
import { activeIndex, ask, foldAll, goTo, listing, query, setFilterInput, statusCounts } from "../state/list-state";
import { rows } from "../state/page-state";
import { DepthStrip } from "../verdict/depth-strip";
import { GROUPINGS, SEVERITY, type Grouping } from "./row-groups";
import { SORT_KEYS, type SortKey } from "./row-order";
import { StatusMark, statusClass } from "./status-mark";

const GROUP_WORDS: Record<Grouping, string> = { none: "No groups", layer: "By layer", stage: "By stage", status: "By status" };
const SORT_WORDS: Record<SortKey, string> = { order: "Order", name: "Name", error: "Relative error", max: "Max. difference" };

/** What the list shows, and in which order. */
export function ListControls() {
  const now = query.value;
  const shown = listing.value.rows.length;
  const count = rows.value?.count ?? 0;
  return (
    <div class="list-controls" role="search" aria-label="Tensors shown">
      <DepthStrip />
      <div class="line">
        <input
          type="search"
          class="filter"
          data-testid="list-filter"
          aria-label="Filter by name"
          placeholder="Filter by name"
          title="All words have to occur; * stands for anything"
          value={now.text}
          ref={setFilterInput}
          onInput={(event) => ask({ text: event.currentTarget.value })}
          onKeyDown={onFilterKey}
        />
        <output class="list-count" aria-live="polite">
          {shown === count ? count.toLocaleString("en") : `${shown.toLocaleString("en")} of ${count.toLocaleString("en")}`}
        </output>
      </div>
      <StatusFilter />
      <div class="line choices">
        <DtypeFilter />
        <select
          aria-label="Group"
          value={now.grouping}
          onChange={(event) => ask({ grouping: event.currentTarget.value as Grouping, folded: new Set(), isInverted: false })}
        >
          {GROUPINGS.map((grouping) => (
            <option key={grouping} value={grouping}>
              {GROUP_WORDS[grouping]}
            </option>
          ))}
        </select>
        <select aria-label="Sort" value={now.key} onChange={(event) => sortBy(event.currentTarget.value as SortKey)}>
          {SORT_KEYS.map((key) => (
            <option key={key} value={key}>
              {SORT_WORDS[key]}
            </option>
          ))}
        </select>
        <Tool
          label={now.isDescending ? "Descending: turn round" : "Ascending: turn round"}
          path={now.isDescending ? "M6 1.5V10.5M2.5 7 6 10.5 9.5 7" : "M6 10.5V1.5M2.5 5 6 1.5 9.5 5"}
          isOff={false}
          act={() => ask({ isDescending: !now.isDescending })}
        />
        <Tool label="Open all groups" path="M3 1.5 6 4.5 9 1.5M3 10.5 6 7.5 9 10.5" isOff={now.grouping === "none"} act={() => foldAll(false)} />
        <Tool label="Close all groups" path="M3 4.5 6 1.5 9 4.5M3 7.5 6 10.5 9 7.5" isOff={now.grouping === "none"} act={() => foldAll(true)} />
      </div>
    </div>
  );
}

/** Escape takes the text back; down and Enter go from it to what it found. */
function onFilterKey(event: TargetedKeyboardEvent<HTMLInputElement>): void {
  if (event.key === "Escape" && query.peek().text) ask({ text: "" });
  else if (event.key === "ArrowDown" || event.key === "Enter") {
    const list = event.currentTarget.closest(".tensor-list")?.querySelector<HTMLElement>("[role=tree], [role=listbox]");
    if (!list) return;
    list.focus();
    const { entries } = listing.peek();
    if (activeIndex.peek() < 0) goTo(entries.find((entry) => entry >= 0));
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Figures are wanted largest first, names and places from the beginning. */
function sortBy(key: SortKey): void {
  ask({ key, isDescending: key === "error" || key === "max" });
}

function StatusFilter() {
  const counts = statusCounts.value;
  const hidden = query.value.hidden;
  return (
    <div class="line statuses" role="group" aria-label="Status">
      {SEVERITY.filter((status) => counts[status]! > 0).map((status) => (
        <label key={status} class={`chip ${statusClass(status)}`}>
          <input
            type="checkbox"
            checked={!hidden.has(status)}
            onChange={(event) => {
              const next = new Set(hidden);
              if (event.currentTarget.checked) next.delete(status);
              else next.add(status);
              ask({ hidden: next });
            }}
          />
          <StatusMark status={status} />
          {STATUSES[status]} <small>{counts[status]!.toLocaleString("en")}</small>
        </label>
      ))}
    </div>
  );
}

function DtypeFilter() {
  const dtypes = rows.value?.dtypes.filter(Boolean) ?? [];
  if (dtypes.length < 2 && query.value.dtype === null) return null;
  return (
    <select aria-label="Dtype" value={query.value.dtype ?? ""} onChange={(event) => ask({ dtype: event.currentTarget.value || null })}>
      <option value="">All dtypes</option>
      {dtypes.map((dtype) => (
        <option key={dtype} value={dtype}>
          {dtype}
        </option>
      ))}
    </select>
  );
}

function Tool({ label, path, isOff, act }: { label: string; path: string; isOff: boolean; act: () => void }) {
  return (
    <button type="button" class="tool" aria-label={label} title={label} disabled={isOff} onClick={act}>
      <svg viewBox="0 0 12 12" aria-hidden="true">
        <path d={path} />
      </svg>
    </button>
  );
}

import { STATUSES, type Verdict } from "../api/types";
import { announce } from "../state/announce";
import { ask, clearFilters, isFiltered, query, statusCounts } from "../state/list-state";
import { StatusMark } from "../list/status-mark";

/** What needs looking at comes first. */
const ORDER = [1, 6, 4, 5, 2, 3, 0];

/** How many tensors have each status; each shows these alone in the list. */
export function StatusCounts({ found }: { found: Verdict }) {
  const counts = statusCounts.value;
  const hidden = query.value.hidden;
  const isAlone = (status: number) => hidden.size > 0 && STATUSES.every((_, other) => hidden.has(other) === (other !== status));
  return (
    <section class="section" aria-label="Tensors by status">
      <h2>{found.pairs.toLocaleString("en")} pairs</h2>
      <div class="counts">
        {ORDER.map((status) => {
          const name = STATUSES[status] as string;
          return counts[status] ? (
            <button
              type="button" key={name} class={`count ${name.startsWith("only") ? "lone" : name}`} data-testid={`count-${name.replaceAll(" ", "-")}`}
              aria-pressed={isAlone(status)} title={`Show these alone in the list: ${name}`}
              onClick={() => {
                if (isAlone(status)) clearFilters();
                else ask({ hidden: new Set(STATUSES.map((_, other) => other).filter((other) => other !== status)) });
                announce(isAlone(status) ? "The list shows all tensors" : `The list shows ${counts[status]}: ${name}`);
              }}
            >
              <StatusMark status={status} />
              <strong>{(counts[status] ?? 0).toLocaleString("en")}</strong> {name}
            </button>
          ) : null;
        })}
        {isFiltered.value && (
          <button type="button" class="quiet" onClick={clearFilters}>
            Show all in the list
          </button>
        )}
      </div>
    </section>
  );
}

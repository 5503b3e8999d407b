import { clearFilters, isFiltered, listing } from "../state/list-state";
import { rows } from "../state/page-state";
import "./list.css";
import { ListControls } from "./list-controls";
import { ListRows } from "./list-rows";

/** All tensors, in layer order unless something else is asked for. */
export function TensorList() {
  if (!rows.value) return null;
  return (
    <nav class="tensor-list" aria-label="List of tensors">
      <ListControls />
      {listing.value.rows.length > 0 ? (
        <ListRows />
      ) : (
        <div class="empty" data-testid="list-empty">
          <p>{isFiltered.value ? "No tensor fits the filter." : "There are no tensors in either run."}</p>
          {isFiltered.value && (
            <button type="button" onClick={clearFilters}>
              Clear filters
            </button>
          )}
        </div>
      )}
    </nav>
  );
}

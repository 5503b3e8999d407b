import { clearFilters, isFiltered, isSelectedHidden, listing } from "../state/list-state";
import { rows, selectedRow } from "../state/page-state";
import "./list.css";
import { ListControls } from "./list-controls";
import { ListRows } from "./list-rows";
import { ListSplitter } from "./list-splitter";
import { rowName } from "./row-text";

/** All tensors, in layer order unless something else is asked for. */
export function TensorList() {
  if (!rows.value) return null;
  return (
    <nav class="tensor-list" aria-label="List of tensors">
      <ListControls />
      {listing.value.rows.length > 0 ? <ListRows /> : <NothingFits />}
      <HiddenNote />
      <ListSplitter />
    </nav>
  );
}

function NothingFits() {
  if (!isFiltered.value) return <p class="list-empty">There are no tensors in either run.</p>;
  return (
    <div class="list-empty" data-testid="list-empty">
      <p>No tensor fits the filters.</p>
      <button type="button" onClick={clearFilters}>
        Clear filters
      </button>
    </div>
  );
}

/** Says so where the tensor that is shown is not in the list. */
function HiddenNote() {
  const row = selectedRow.value;
  if (row === null || !rows.value || !isSelectedHidden.value || listing.value.rows.length === 0) return null;
  return (
    <p class="list-note" data-testid="list-hidden">
      <span title={rowName(rows.value, row)}>The tensor shown is filtered out.</span>
      <button type="button" class="link" onClick={clearFilters}>
        Clear filters
      </button>
    </p>
  );
}

/** What keys and clicks do in the list. */

import { activeEntry, activeIndex, foldGroup, goTo, groupOf, listing } from "../state/list-state";
import { select, selectedRow } from "../state/page-state";
import { entryAfterKey } from "./list-keys";

/** A key in the list; `page` lines are seen. */
export function listKey(event: KeyboardEvent, page: number): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { entries, groups } = listing.peek();
  const index = activeIndex.peek();
  const entry = entries[index];
  const to = entryAfterKey(event.key, index, entries.length, page);
  if (to !== null) {
    goTo(entries[to]);
    // While a key is held, the list moves; the tensor is fetched when it is let go.
    if (!event.repeat) show(entries[to]);
  } else if (event.key === "Enter" || event.key === " ") {
    if (entry !== undefined && entry < 0) foldGroup(groups[~entry]!.key);
    else {
      show(entry);
      // The numbers are what comes next.
      if (event.key === "Enter") document.getElementById("main")?.focus();
    }
  } else if (!foldKey(event.key, index)) return;
  event.preventDefault();
  event.stopPropagation();
}

/** Right opens a group, then goes into it; left goes to the header, then closes the group. */
function foldKey(key: string, index: number): boolean {
  const { entries, groups } = listing.peek();
  const entry = entries[index];
  const group = index < 0 ? undefined : groups[groupOf(index)];
  if (entry === undefined || !group) return false;
  if (key === "ArrowRight") {
    if (entry >= 0) return false;
    if (!group.isOpen) foldGroup(group.key, false);
    else goTo(entries[index + 1]);
    return true;
  }
  if (key !== "ArrowLeft") return false;
  if (entry < 0) foldGroup(group.key, true);
  else goTo(entries[group.header]);
  return true;
}

/** A key is let go: the tensor to which it led is shown. */
export function listKeyUp(event: KeyboardEvent): void {
  if (entryAfterKey(event.key, 0, 1, 1) !== null) show(listing.peek().entries[activeIndex.peek()]);
}

/** A click on a tensor or on the header of a group. */
export function clickList(event: MouseEvent): void {
  const line = (event.target as Element).closest<HTMLElement>("[data-row], [data-group]");
  const key = line?.dataset.group;
  if (key !== undefined) {
    activeEntry.value = ~listing.peek().groups.findIndex((group) => group.key === key);
    foldGroup(key);
  } else if (line?.dataset.row !== undefined) {
    activeEntry.value = Number(line.dataset.row);
    show(activeEntry.value);
  }
}

function show(entry: number | undefined): void {
  if (entry !== undefined && entry >= 0 && selectedRow.peek() !== entry) select(entry);
}

/** The list of tensors: what is asked of it, what it shows, where one is in it. */

import { batch, computed, effect, signal, untracked } from "@preact/signals";

import type { Rows } from "../api/types";
import { fitMask, fitting, groupAt, groupOrder, inGroups, type Listing } from "../list/listing";
import { foldNames } from "../list/name-filter";
import { rowGroups } from "../list/row-groups";
import { rowOrder } from "../list/row-order";
import { isRenamed, shortDtype, shortShape } from "../list/row-text";
import { nextPlace, nextWrong } from "../list/row-steps";
import { hasFilters, isClosed, placeOfQuery, queryOf, withGroup, withoutFilters, type ListQuery } from "./list-query";
import { move, place, rows, select, selectedRow } from "./page-state";

const queryText = computed(() => JSON.stringify(placeOfQuery(queryOf(place.value))));
/** Changes only where the address's part about the list does, not with each row that is selected. */
export const query = computed<ListQuery>(() => {
  void queryText.value;
  return queryOf(place.peek());
});

const asked = {
  text: computed(() => query.value.text),
  hidden: computed(() => [...query.value.hidden].sort().join(",")),
  dtype: computed(() => query.value.dtype),
  grouping: computed(() => query.value.grouping),
  key: computed(() => query.value.key),
  isDescending: computed(() => query.value.isDescending),
};
const names = computed(() => rows.value && foldNames(rows.value));
const order = computed(() => rows.value && rowOrder(rows.value, asked.key.value, asked.isDescending.value));
const grouped = computed(() => rows.value && rowGroups(rows.value, asked.grouping.value));

/** Whether rows stand below headers. */
export const isGrouped = computed(() => grouped.value !== null);

const mask = computed(() => {
  const all = rows.value;
  if (!all || !names.value) return null;
  const text = asked.text.value;
  const hidden = new Set(asked.hidden.value.split(",").filter(Boolean).map(Number));
  const dtype = asked.dtype.value === null ? null : all.dtypes.indexOf(asked.dtype.value);
  return fitMask(all, names.value, { text, hidden, dtype });
});

/** Rows that fit, sorted; another array only where these have changed. */
export const fit = computed(() => (order.value && mask.value ? fitting(order.value, mask.value) : new Int32Array()));

const NOTHING: Listing = { rows: new Int32Array(), entries: new Int32Array(), groups: [] };
/** What the list shows now. */
export const listing = computed<Listing>(() => {
  const all = rows.value;
  if (!all) return NOTHING;
  const now = query.value;
  const groups = groupOrder(now.grouping, now.key, now.isDescending);
  return inGroups(all.status, fit.value, grouped.value, groups, (key) => isClosed(now, key));
});

/** Whether names stand on two lines. */
export const hasTwoNames = computed(() => rows.value !== null && isRenamed(rows.value));

const kinds = computed(() => ({
  dtypes: rows.value?.dtypes.map(shortDtype) ?? [],
  shapes: rows.value?.shapes.map(shortShape) ?? [],
}));

/** `bf16 16×64`, `f32 0-d`: dtype and shape of a row in short. */
export function kindOf(all: Rows, row: number): string {
  const { dtypes, shapes } = kinds.value;
  return `${dtypes[all.dtype[row] as number] ?? ""} ${shapes[all.shape[row] as number] ?? ""}`.trim();
}

/** How many rows have each status, filters aside. */
export const statusCounts = computed(() => {
  const counts = [0, 0, 0, 0, 0, 0, 0];
  for (const status of rows.value?.status ?? []) counts[status]! += 1;
  return counts;
});

/** Whether the filters leave out the tensor that is shown. */
export const isSelectedHidden = computed(() => {
  const row = selectedRow.value;
  return row !== null && mask.value?.[row] === 0;
});

/** Where the keyboard is: a row's number, or `~group` for a header; null before it was anywhere. */
export const activeEntry = signal<number | null>(null);
/** The active entry among those shown; -1 where it is not shown. */
export const activeIndex = computed(() => (activeEntry.value === null ? -1 : entryIndex(activeEntry.value)));

/** Goes up whenever the active entry should come into view. */
export const revealed = signal(0);

/** Go to an entry with the keyboard, without showing its tensor. */
export function goTo(entry: number | undefined): void {
  if (entry === undefined) return;
  batch(() => {
    activeEntry.value = entry;
    revealed.value += 1;
  });
}

/** Ask for something else. */
export function ask(changes: Partial<ListQuery>): void {
  move(placeOfQuery({ ...query.peek(), ...changes }));
}

export function clearFilters(): void {
  move(placeOfQuery(withoutFilters(query.peek())));
}

export const isFiltered = computed(() => hasFilters(query.value));

/** Open or close a group; without `closed` the other way than it is. */
export function foldGroup(key: string, closed?: boolean): void {
  const now = query.peek();
  move(placeOfQuery(withGroup(now, key, closed ?? !isClosed(now, key))));
}

export function foldAll(closed: boolean): void {
  ask({ folded: new Set(), isInverted: closed });
}

/** Go to the next row, or with -1 to the one before, in the order of the list. */
export function selectNeighbour(step: 1 | -1): void {
  const shown = listing.peek().rows;
  const found = nextPlace(shown, selectedRow.peek(), step);
  if (found >= 0) select(shown[found] as number);
}

/** Go to the next row that is wrong by itself; begins anew at the end. */
export function selectNextDifferent(step: 1 | -1): void {
  const all = rows.peek();
  const found = all ? nextWrong(all.status, listing.peek().rows, selectedRow.peek(), step) : null;
  if (found !== null) select(found);
}

let filterInput: HTMLInputElement | null = null;

/** The list tells where its filter is. */
export function setFilterInput(element: HTMLInputElement | null): void {
  filterInput = element;
}

export function focusFilter(): void {
  filterInput?.focus();
  filterInput?.select();
}

/** Where the entry stands among those shown; -1 for none. */
export function entryIndex(entry: number): number {
  return listing.value.entries.indexOf(entry);
}

/** A row that was selected anywhere on the page becomes the list's own, in a group that is open. */
effect(() => {
  const row = selectedRow.value;
  void rows.value;
  if (row === null) return;
  untracked(() => {
    const all = grouped.peek();
    const key = all?.keys[all.of[row] ?? -1];
    if (key !== undefined && isClosed(query.peek(), key)) foldGroup(key, false);
    activeEntry.value = row;
    revealed.value += 1;
  });
});

/** The group of an entry that is shown. */
export function groupOf(index: number): number {
  return groupAt(listing.peek().groups, index);
}

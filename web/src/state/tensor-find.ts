/** Going to a number: by its index, to the largest difference, to the next one, to a value. */

import { batch, computed, effect, signal } from "@preact/signals";

import { find } from "../api/client";
import type { Found } from "../api/types";
import { clampIndex, elementsOf, indexAt, parseIndex, placeInLine } from "../tensor/tensor-index";
import { showing } from "../tensor/viewport";
import { parseSearch } from "../tensor/search-query";
import { announce } from "./announce";
import { report } from "./banner";
import { detail, isCurrent, selectedRow } from "./page-state";
import { windowsAround } from "./tensor-around";
import { cursor } from "./tensor-cursor";
import { Latest } from "./tensor-latest";
import type { Cut, Look, SideKey, View } from "./tensor-place";
import { placeInPlane, planeOf } from "./tensor-spec";
import { look, setCut, setZoom } from "./tensor-view";

const MAXIMUM = "largest difference";
const DIFFERENCE = "difference";

export type SearchSide = SideKey | "either";

export const searchText = signal("");
export const searchSide = signal<SearchSide>("either");
/** What came of the last search or jump, in words. */
export const findMessage = signal("");
/** Grows when the search box is to have the keyboard. */
export const searchFocus = signal(0);
export const isFinding = signal(false);

const latest = new Latest((error) => {
  findMessage.value = "";
  report(error);
});
/** What was looked for last in this tensor, and where it was found: the next search goes on from there. */
let before: { key: string; index: number[]; count: number | null } | null = null;
/** Where anything was found last in this tensor. */
let lastFound: number[] | null = null;

export const hasBoth = computed(() => {
  const now = detail.value;
  return now !== null && now.expected !== null && now.actual.length > 0;
});
/** Whether differences can be gone to: both sides are laid out alike. */
export const canCompare = computed(() => hasBoth.value && detail.value?.layout != null);

// What was found, said and marked was about another tensor, or about what was compared before.
effect(() => {
  void selectedRow.value;
  void isCurrent.value;
  before = null;
  lastFound = null;
  findMessage.value = "";
  cursor.value = { row: 0, column: 0, isWanted: false, isFound: false };
});

export function focusSearch(): void {
  searchFocus.value += 1;
}

export function jumpToMaximum(): void {
  if (canCompare.peek()) ask({ what: "maximum" }, MAXIMUM, 1, null);
  else say("there is no difference to go to: the sides are not laid out alike");
}

export function nextDifference(direction: 1 | -1): void {
  if (canCompare.peek()) ask({ what: "difference" }, DIFFERENCE, direction, hereIndex());
  else say("there is no difference to go to: the sides are not laid out alike");
}

export function nextMatch(direction: 1 | -1): void {
  const query = parseSearch(searchText.peek());
  if (typeof query === "string") {
    say(query);
    return;
  }
  const { words, ...asked } = query;
  const request = { ...asked, ...whereToSearch() };
  const key = JSON.stringify(request);
  const goesOn = before?.key === key;
  ask({ ...request, count: !goesOn }, words, direction, goesOn ? (before?.index ?? null) : null, key);
}

/** Both sides are searched together where they are laid out alike, else one of them in its own shape. */
function whereToSearch(): { side: SearchSide; view: View; rank?: number } {
  if (canCompare.peek()) return { side: searchSide.peek(), view: "aligned" };
  const side = oneSide(searchSide.peek());
  return { side, view: "own", rank: look.peek()?.[side]?.rank ?? 0 };
}

function oneSide(wanted: SearchSide): SideKey {
  const now = detail.peek();
  if (!now?.expected) return "actual";
  return wanted === "actual" && now.actual.length > 0 ? "actual" : "expected";
}

/** Go to what somebody typed; a text says what is wrong with it. */
export function goToIndex(text: string, side: SideKey): string | null {
  const now = look.peek();
  const cut = now?.[side];
  if (!now || !cut) return null;
  const index = parseIndex(text, cut.shape);
  if (typeof index === "string") return index;
  show(now, side === "expected" ? { expected: index } : { actual: index }, null);
  say(`at [${index.join(", ")}]`);
  return null;
}

function say(text: string): void {
  findMessage.value = text;
  announce(text);
}

function ask(request: object, words: string, direction: 1 | -1, from: number[] | null, key = ""): void {
  const row = selectedRow.peek();
  if (row === null) return;
  latest.ask(async (signal) => {
    // Here: where this takes the place of another search, that one ends first.
    isFinding.value = true;
    try {
      const found = await find(row, { ...request, from, direction }, signal);
      if (selectedRow.peek() === row && isCurrent.peek()) tell(found, words, direction, key);
    } finally {
      isFinding.value = false;
    }
  });
}

function tell(found: Found, words: string, direction: 1 | -1, key: string): void {
  const now = look.peek();
  if (!now || now.row !== selectedRow.peek()) return;
  if (!found.index) {
    say(words === MAXIMUM || words === DIFFERENCE ? "no number differs" : `${words}: not found`);
    return;
  }
  const known = found.count ?? (before?.key === key ? before.count : null);
  if (key) before = { key, index: found.index, count: known };
  lastFound = found.index;
  show(now, placesOf(now, found), found.actual_rank);
  const count = known === null ? "" : `, ${known.toLocaleString("en")} in all`;
  const where = found.wrapped ? `, gone on from the ${direction === 1 ? "beginning" : "end"}` : "";
  const allowed = found.is_allowed ? ", no larger than allowed" : "";
  say(`${words} at [${found.index.join(", ")}]${allowed}${count}${where}`);
}

/** Where it is on each side that is looked at by itself. */
function placesOf(now: Look, found: Found): Partial<Record<SideKey, number[]>> {
  if (now.view === "aligned") return { expected: found.index ?? [] };
  const { expected_index: expected, actual_index: actual } = found;
  return { ...(expected ? { expected } : {}), ...(actual ? { actual } : {}) };
}

function show(now: Look, places: Partial<Record<SideKey, number[]>>, rank: number | null): void {
  const targets = (["expected", "actual"] as const).flatMap((side) => {
    const cut = now[side];
    const index = places[side];
    return cut && index && index.length === cut.shape.length ? [{ side, cut, index }] : [];
  });
  if (targets.length === 0) return;
  const around = windowsAround(targets, now.mode, now.count);
  batch(() => {
    for (const [which, { side, cut }] of targets.entries()) {
      const at = around.at[which] ?? cut.at;
      setCut(side, side === "actual" && rank !== null && rank !== cut.rank ? { at, rank } : { at });
    }
    const [first] = targets;
    if (now.zoom && first) {
      const plane = planeOf(first.cut, now.mode);
      const { row, column } = placeInPlane(first.cut, now.mode, first.index);
      setZoom(showing(now.zoom, plane, row, column));
    }
    cursor.value = { row: around.row, column: around.column, isWanted: isOnNumbers(), isFound: true };
  });
}

/** Whether the keyboard is on the numbers, or nowhere: then it follows what was found. */
function isOnNumbers(): boolean {
  const active = document.activeElement;
  return active === null || active === document.body || active.closest(".window") !== null;
}

/** The index of the marked cell in the dims in which both sides are compared, or where each side has dims of its own,
 * of what was found last; null at the very beginning. */
function hereIndex(): number[] | null {
  const now = look.peek();
  const cut = now?.view === "aligned" ? now.expected : null;
  if (!now || !cut) return lastFound;
  const { row, column, isFound } = cursor.peek();
  const index = cellIndex(cut, now, row, column);
  return isFound || index.some((entry) => entry > 0) ? index : null;
}

/** The window may have become smaller than where the mark is: it is drawn in the last cell then. */
function cellIndex(cut: Cut, now: Look, row: number, column: number): number[] {
  if (now.mode === "flat") {
    return indexAt(Math.min(placeInLine(cut.at, cut.shape) + column, elementsOf(cut.shape) - 1), cut.shape);
  }
  const index = [...cut.at];
  if (now.mode === "plane" && cut.rows !== null) index[cut.rows] = (index[cut.rows] ?? 0) + row;
  if (cut.columns !== null) index[cut.columns] = (index[cut.columns] ?? 0) + column;
  return clampIndex(index, cut.shape);
}

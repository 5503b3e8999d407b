/** The list as it is shown: rows that fit, sorted, in groups, as one flat array. */

import type { Rows } from "../api/types";
import { filterWords, nameFits, type FoldedNames } from "./name-filter";
import { isWorse, type Grouped } from "./row-groups";
import type { SortKey } from "./row-order";

export interface Group {
  key: string;
  label: string;
  count: number;
  /** How many of its rows are not `ok`. */
  wrong: number;
  /** Its worst status. */
  worst: number;
  isOpen: boolean;
  /** Where its header stands among the entries. */
  header: number;
}

export interface Listing {
  /** Rows that fit, in the order shown, those of closed groups too. */
  rows: Int32Array;
  /** What is shown: a row's number, or `~group` for the header of a group. */
  entries: Int32Array;
  groups: Group[];
}

export interface Wanted {
  text: string;
  /** Statuses that are not shown. */
  hidden: ReadonlySet<number>;
  /** The one dtype that is shown; null for all. */
  dtype: number | null;
}

/** For each row 1 where it fits. */
export function fitMask(rows: Rows, names: FoldedNames, wanted: Wanted): Uint8Array {
  const words = filterWords(wanted.text);
  const mask = new Uint8Array(rows.count);
  // Row by row as they lie in memory: in the order of their errors this takes three times as long.
  for (let row = 0; row < rows.count; row += 1) {
    if (wanted.hidden.has(rows.status[row] as number)) continue;
    if (wanted.dtype !== null && rows.dtype[row] !== wanted.dtype) continue;
    if (words.length > 0 && !nameFits(words, names.first[row] as string, names.second[row] ?? null)) continue;
    mask[row] = 1;
  }
  return mask;
}

/** The rows of `order` that the mask lets through. */
export function fitting(order: Uint32Array, mask: Uint8Array): Int32Array {
  const found = new Int32Array(order.length);
  let count = 0;
  for (const row of order) if (mask[row] === 1) found[count++] = row;
  return found.subarray(0, count);
}

/**
 * Rows that fit, put into groups. Groups stand in their own order; sorted by a figure, the one with the first row stands first
 * (`status` alone keeps its order: the worst comes first anyway).
 */
export function inGroups(
  status: readonly number[], fit: Int32Array, grouped: Grouped | null, order: GroupOrder, isClosed: (key: string) => boolean,
): Listing {
  if (!grouped) return { rows: fit, entries: fit, groups: [] };
  const size = grouped.keys.length;
  const counts = new Int32Array(size);
  const wrong = new Int32Array(size);
  const worst = new Int32Array(size);
  const seen: number[] = [];
  for (const row of fit) {
    const group = grouped.of[row] as number;
    if (counts[group]! === 0) seen.push(group);
    counts[group]! += 1;
    const now = status[row] as number;
    if (now !== 0) wrong[group]! += 1;
    if (isWorse(now, worst[group] as number)) worst[group] = now;
  }
  if (order !== "first") seen.sort((one, other) => (order === "own" ? one - other : other - one));
  const next = new Int32Array(size);
  let start = 0;
  for (const group of seen) {
    next[group] = start;
    start += counts[group] as number;
  }
  const rows = new Int32Array(fit.length);
  for (const row of fit) rows[next[grouped.of[row] as number]!++] = row;

  const entries = new Int32Array(fit.length + seen.length);
  const groups: Group[] = [];
  let [end, from] = [0, 0];
  for (const group of seen) {
    const count = counts[group] as number;
    const key = grouped.keys[group] as string;
    const isOpen = !isClosed(key);
    const label = grouped.labels[group] as string;
    groups.push({ key, label, count, wrong: wrong[group]!, worst: worst[group]!, isOpen, header: end });
    entries[end++] = ~(groups.length - 1);
    if (isOpen) {
      entries.set(rows.subarray(from, from + count), end);
      end += count;
    }
    from += count;
  }
  return { rows, entries: entries.subarray(0, end), groups };
}

/** How groups stand: as they are numbered, the other way round, or by their first row. */
export type GroupOrder = "own" | "reversed" | "first";

export function groupOrder(grouping: string, key: SortKey, isDescending: boolean): GroupOrder {
  if (grouping === "status") return "own";
  if (key === "error" || key === "max") return "first";
  return key === "order" && isDescending ? "reversed" : "own";
}

/** The group that an entry belongs to; -1 where there are none. */
export function groupAt(groups: readonly Group[], entry: number): number {
  let [low, high] = [0, groups.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((groups[middle] as Group).header <= entry) low = middle;
    else high = middle - 1;
  }
  return groups.length > 0 ? low : -1;
}

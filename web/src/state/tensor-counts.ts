/** How often which numbers occur, as it comes from the server. */

import { effect, signal } from "@preact/signals";

import { getHistogram } from "../api/client";
import type { Counts } from "../api/types";
import { report } from "./banner";
import { isCurrent, selectedRow, status } from "./page-state";
import { Latest } from "./tensor-latest";
import { planeWindow } from "./tensor-spec";
import { isEmpty } from "./tensor-values";
import { look } from "./tensor-view";

export const BINS = 96;
/** Whether the histogram is open: nothing is counted that nobody sees. */
export const isCounting = signal(false);
/** Of the slice that the heat maps show, or of the whole tensor. */
export const isOfSlice = signal(false);
export const counts = signal<{ row: number; counts: Counts } | null>(null);

let last = "";
const latest = new Latest((error) => {
  last = "";
  // What was counted is something else.
  counts.value = null;
  report(error);
}, 400);

effect(() => {
  const now = look.value;
  if (!now || !isCounting.value || now.row !== selectedRow.value || !isCurrent.value || isEmpty(now)) return;
  const window = isOfSlice.value || !now.canAlign ? planeWindow(isOfSlice.value ? now : { ...now, mode: "flat" }, null) : null;
  const key = JSON.stringify([now.row, status.value.revision, window]);
  if (key === last) return;
  if (counts.peek()?.row !== now.row) counts.value = null;
  last = key;
  latest.ask(async (signal) => {
    const found = await getHistogram(now.row, { bins: BINS, ...(window ?? {}) }, signal);
    if (last === key) counts.value = { row: now.row, counts: found };
  });
});

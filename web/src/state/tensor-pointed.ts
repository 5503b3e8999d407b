/** The cell of the heat maps that is pointed at, and its exact numbers. */

import { effect, signal } from "@preact/signals";

import { getValues } from "../api/client";
import { cellAt, type WindowCell } from "../tensor/window-cells";
import { isCurrent, status } from "./page-state";
import { Latest } from "./tensor-latest";
import { cellWindow } from "./tensor-spec";
import type { Which } from "./tensor-tiles";
import { look } from "./tensor-view";

export interface Pointed {
  which: Which;
  row: number;
  column: number;
}

/** Counted in the plane of the heat map. */
export const pointed = signal<Pointed | null>(null);
export const pointedCell = signal<WindowCell | null>(null);

const WAIT_MS = 40;
// What cannot be told here is told where the numbers are shown.
const latest = new Latest(() => undefined);
let timer: ReturnType<typeof setTimeout> | undefined;
let last = "";

effect(() => {
  const now = look.value;
  const place = pointed.value;
  clearTimeout(timer);
  if (!now || !place || !isCurrent.value) {
    pointedCell.value = null;
    last = "";
    return;
  }
  const window = cellWindow(now, place.row, place.column);
  const key = JSON.stringify([now.row, status.value.revision, window]);
  if (key === last) return;
  last = key;
  pointedCell.value = null;
  if (!window) return;
  timer = setTimeout(() => {
    latest.ask(async (signal) => {
      const found = await getValues(now.row, window, signal);
      if (last === key) pointedCell.value = cellAt(found, 0, 0);
    });
  }, WAIT_MS);
});

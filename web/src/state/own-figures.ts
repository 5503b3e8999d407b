/** Figures of the stored tensors of a row, each by itself, as they come from the server. */

import { effect, signal } from "@preact/signals";

import { getStatistics } from "../api/client";
import type { OwnFigures } from "../api/types";
import { report } from "./banner";
import { detail, isCurrent, status } from "./page-state";
import { Latest } from "./tensor-latest";

/** Whether they are looked at: nothing is read that nobody sees. */
export const areOwnFiguresOpen = signal(false);
export const ownFigures = signal<{ row: number; figures: OwnFigures } | null>(null);

let last = "";
const latest = new Latest((error) => {
  last = "";
  report(error);
}, 400);

effect(() => {
  const now = detail.value;
  if (!now || now.measures || !areOwnFiguresOpen.value || !isCurrent.value) return;
  const key = `${now.row} ${status.value.revision}`;
  if (key === last) return;
  last = key;
  ownFigures.value = null;
  latest.ask(async (signal) => {
    const figures = await getStatistics(now.row, signal);
    if (last === key) ownFigures.value = { row: now.row, figures };
  });
});

/** The numbers that are written out, as they come from the server. */

import { effect, signal } from "@preact/signals";

import { ApiFailure, getValues, isOutdated } from "../api/client";
import type { Values } from "../api/types";
import { report } from "./banner";
import { loseConnection } from "./connection";
import { isCurrent, selectedRow, status } from "./page-state";
import { elementsOf } from "../tensor/tensor-index";
import { Latest } from "./tensor-latest";
import type { Look } from "./tensor-place";
import { valuesWindow } from "./tensor-spec";
import { look } from "./tensor-view";

/** The numbers, with the look that asked for them; stays while new ones are on their way. */
export const values = signal<{ look: Look; values: Values } | null>(null);
/** A refusal of the numbers of this row, shown in their place. */
export const valuesFailure = signal<string | null>(null);

let last = "";
let shown = "";
const latest = new Latest((error) => {
  last = "";
  // A tab that the server has forgotten is opened anew, which also asks for the numbers again.
  const isRefusal = error instanceof ApiFailure && error.status >= 400 && !loseConnection(error);
  if (!isRefusal) report(error);
  if ((isRefusal && error.code === "cancelled") || isOutdated(error)) return;
  values.value = null;
  valuesFailure.value = isRefusal ? [error.message, error.hint].filter(Boolean).join(". ") : "The numbers could not be read.";
});

/** Whether one of the sides has no number at all. */
export const isEmpty = (now: Look) =>
  [now.expected, now.actual].every((cut) => cut === null || elementsOf(cut.shape) === 0);

effect(() => {
  const now = look.value;
  if (!now || now.row !== selectedRow.value || !isCurrent.value || isEmpty(now)) return;
  const window = valuesWindow(now);
  const key = JSON.stringify([now.row, status.value.revision, window]);
  if (!window) return;
  if (key === last) {
    // The same numbers under another look: other columns, other colours.
    const found = values.peek();
    if (found && shown === key && found.look !== now) values.value = { look: now, values: found.values };
    return;
  }
  if (values.peek()?.look.row !== now.row) {
    values.value = null;
    valuesFailure.value = null;
  }
  last = key;
  latest.ask(async (signal) => {
    const found = await getValues(now.row, window, signal);
    if (last !== key) return;
    shown = key;
    values.value = { look: look.peek() ?? now, values: found };
    valuesFailure.value = null;
  });
});

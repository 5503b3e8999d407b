/** What is open and what came of comparing it. Components read the signals; only functions of this folder write them. */

import { batch, computed, effect, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Detail, Item, Rows, SessionInfo, SideName, Status, Verdict } from "../api/types";
import { announce } from "./announce";
import { banner, report } from "./banner";
import { connection } from "./connection";
import { isOpening, place, select, selectedRow } from "./place";

export { isOpening, move, place, select, selectedRow, showOpen } from "./place";

export const NOTHING: Status = { state: "empty", revision: 0, done: 0, total: 0, item: null, error: null, seconds: 0 };

export const session = signal<SessionInfo | null>(null);
export const sides = signal<Record<SideName, Item[]>>({ expected: [], actual: [] });
export const status = signal<Status>(NOTHING);
export const verdict = signal<Verdict | null>(null);
export const rows = signal<Rows | null>(null);
export const detail = signal<Detail | null>(null);
/** Of the comparison that `detail` is about. */
const detailRevision = signal(-1);
/** Whether `detail` is about what is compared now: while it is compared anew rows have other numbers. */
export const isCurrent = computed(() => status.value.state === "ready" && status.value.revision === detailRevision.value);
effect(() => api.meanComparison(status.value.state === "ready" ? status.value.revision : null));
/** Whether the token is missing or wrong. */
export const isLocked = computed(() => connection.value === "locked");
/** Whether somebody has pressed the button, instead of runs that were there from the beginning. */
export const wasAsked = signal(false);
export const isBusy = computed(() => status.value.state === "opening" || status.value.state === "comparing");

/** Compare what both sides hold. */
export async function compare(settings: object = {}): Promise<void> {
  banner.value = null;
  wasAsked.value = true;
  try {
    const begun = await api.startComparison(settings);
    announce("Comparing");
    await follow(begun);
  } catch (error) {
    report(error);
  }
}

/** Stop what runs. */
export async function cancel(): Promise<void> {
  try {
    await api.cancelComparison();
  } catch (error) {
    report(error);
  }
}

let following = 0;

/** Wait until the comparison is ready or failed, showing how far it is; the last call alone goes on. `rowIn` tells
 * where one is then, where rows may have moved. */
export async function follow(first: Status, rowIn?: (rows: Rows) => number | null): Promise<void> {
  const mine = ++following;
  let now = first;
  status.value = now;
  while (now.state === "opening" || now.state === "comparing") {
    now = await api.waitForStatus(now.revision);
    if (mine !== following) return;
    status.value = now;
  }
  if (now.state === "ready") await showComparison(mine, first.state !== "ready", rowIn);
  else forgetComparison();
  if (now.state === "failed" && now.error) banner.value = now.error;
}

/** Nothing is compared any more. */
export function forgetComparison(): void {
  batch(() => {
    verdict.value = null;
    rows.value = null;
    detail.value = null;
  });
}

async function showComparison(mine: number, isNew: boolean, rowIn?: (rows: Rows) => number | null): Promise<void> {
  const [newVerdict, newRows] = await Promise.all([api.getVerdict(), api.getRows()]);
  if (mine !== following) return;
  batch(() => {
    verdict.value = newVerdict;
    rows.value = newRows;
    if (rowIn) moveToRow(rowIn(newRows));
    else if (isNew && isOpening.value) place.value = {};
    else if ((selectedRow.value ?? 0) >= newRows.count) select(null);
  });
  if (isNew) announce(newVerdict.sentence);
}

/** The same tensor at its new place keeps its indices; another one begins at its first number. */
function moveToRow(row: number | null): void {
  if (row === null) select(null);
  else if (row !== selectedRow.peek()) place.value = { ...place.peek(), row };
}

/** Load what is said about the row where one is. */
export async function loadDetail(row: number | null): Promise<void> {
  if (row === null || rows.peek() === null) {
    detail.value = null;
    return;
  }
  try {
    const { revision } = status.peek();
    const found = await api.getDetail(row);
    if (selectedRow.peek() !== row) return;
    batch(() => {
      detail.value = found;
      detailRevision.value = revision;
    });
  } catch (error) {
    // While it is compared anew there is nothing to tell; it is loaded again at the end.
    if (!api.isOutdated(error)) report(error);
  }
}

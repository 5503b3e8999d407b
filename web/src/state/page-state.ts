/** Everything that the page knows. Components read the signals; only functions of this folder write them. */

import { batch, computed, effect, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Detail, Item, Rows, SessionInfo, SideName, Status, Verdict } from "../api/types";
import { banner, report } from "./banner";
import { parsePlace, placeText, type Place } from "./link";

const EMPTY: Status = { state: "empty", revision: 0, done: 0, total: 0, item: null, error: null, seconds: 0 };

export const session = signal<SessionInfo | null>(null);
export const sides = signal<Record<SideName, Item[]>>({ expected: [], actual: [] });
export const status = signal<Status>(EMPTY);
export const verdict = signal<Verdict | null>(null);
export const rows = signal<Rows | null>(null);
/** Where one is; its fields are the fragment of the address. */
export const place = signal<Place>({});
export const detail = signal<Detail | null>(null);
export const selectedRow = computed(() => place.value.row ?? null);
/** Whether the token is missing or wrong. */
export const isLocked = signal(false);

/** Begin: take the token out of the address, open the session, and follow its comparison. */
export async function begin(): Promise<void> {
  readAddress();
  window.addEventListener("hashchange", readAddress);
  effect(() => {
    const text = placeText(place.value);
    if (text !== location.hash) history.replaceState(null, "", text || location.pathname);
  });
  effect(() => void loadDetail(selectedRow.value));
  try {
    await reopen();
  } catch (error) {
    if (error instanceof api.ApiFailure && error.status === 401) isLocked.value = true;
    else report(error);
  }
}

async function reopen(): Promise<void> {
  const info = await api.openSession();
  batch(() => {
    session.value = info;
    sides.value = info.sides;
    isLocked.value = false;
  });
  await follow(info.comparison);
}

/** Another token, typed by hand. */
export async function unlock(token: string): Promise<void> {
  api.keepToken(token);
  await begin();
}

/** Compare what both sides hold. */
export async function compare(settings: object = {}): Promise<void> {
  banner.value = null;
  try {
    await follow(await api.startComparison(settings));
  } catch (error) {
    report(error);
  }
}

/** Go to a row, or to none. */
export function select(row: number | null): void {
  const { row: _, at: __, ...rest } = place.value;
  place.value = row === null ? rest : { ...rest, row };
}

/** Change where one is, beside the row. */
export function move(changes: Place): void {
  place.value = { ...place.value, ...changes };
}

let following = 0;

/** Wait until the comparison is ready or failed, showing how far it is; the last call alone goes on. */
export async function follow(first: Status): Promise<void> {
  const mine = ++following;
  let now = first;
  status.value = now;
  while (now.state === "opening" || now.state === "comparing") {
    now = await api.waitForStatus(now.revision);
    if (mine !== following) return;
    status.value = now;
  }
  if (now.state === "failed" && now.error) banner.value = now.error;
  if (now.state !== "ready") return;
  const [newVerdict, newRows] = await Promise.all([api.getVerdict(), api.getRows()]);
  if (mine !== following) return;
  batch(() => {
    verdict.value = newVerdict;
    rows.value = newRows;
    if (selectedRow.value !== null && selectedRow.value >= newRows.count) select(null);
  });
  await loadDetail(selectedRow.value);
}

async function loadDetail(row: number | null): Promise<void> {
  if (row === null || rows.peek() === null) {
    detail.value = null;
    return;
  }
  try {
    const found = await api.getDetail(row);
    if (selectedRow.peek() === row) detail.value = found;
  } catch (error) {
    report(error);
  }
}

function readAddress(): void {
  const { token, place: found } = parsePlace(location.hash);
  if (token) {
    api.keepToken(token);
    history.replaceState(null, "", placeText(found) || location.pathname);
  }
  place.value = found;
}

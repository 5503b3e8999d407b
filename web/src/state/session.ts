/** Beginning, and beginning again: where the token was missing, the server was away, or has forgotten this tab. */

import { batch, effect } from "@preact/signals";

import * as api from "../api/client";
import { ApiFailure } from "../api/client";
import { banner, report, tell } from "./banner";
import { connection, connectionOf } from "./connection";
import { follow, forgetComparison, isBusy, loadDetail, NOTHING, rows, session, sides, status } from "./page-state";
import { followAddress, isOpening, place, select, selectedRow } from "./place";

const RETRY_MS = 2000;
/** A call now and then tells that the server is still there, and the server that this tab is. */
const BEAT_MS = 20_000;

/** Open the session of this tab and follow its comparison. */
export async function begin(): Promise<void> {
  followAddress(() => {
    if (connection.peek() === "locked") void reopen();
  });
  effect(() => {
    void rows.value;
    void loadDetail(selectedRow.value);
  });
  effect(() => {
    if (connection.value === "forgotten") void reopen();
    if (connection.value === "offline") retryLater();
  });
  setInterval(() => void beat(), BEAT_MS);
  window.addEventListener("pagehide", api.leave);
  // Taken out of the browser's memory as it was.
  window.addEventListener("pageshow", (event) => event.persisted && void beat());
  await reopen();
}

/** Another token, typed by hand. */
export async function unlock(token: string): Promise<void> {
  api.keepToken(token);
  await reopen();
}

/** Ask the server whether it is there again. */
export async function retry(): Promise<void> {
  if (connection.peek() !== "offline") return;
  try {
    await api.getStatus();
    await reopen();
  } catch (error) {
    const found = error instanceof ApiFailure ? connectionOf(error) : null;
    if (found === "offline") retryLater();
    else if (found) connection.value = found;
    else report(error);
  }
}

let waiting: ReturnType<typeof setTimeout> | undefined;

function retryLater(): void {
  clearTimeout(waiting);
  waiting = setTimeout(() => void retry(), RETRY_MS);
}

async function reopen(): Promise<void> {
  const wasKnown = session.peek()?.session ?? null;
  const had = sides.peek().expected.length + sides.peek().actual.length > 0;
  try {
    const info = await api.openSession();
    batch(() => {
      connection.value = "good";
      session.value = info;
      sides.value = info.sides;
    });
    if (wasKnown !== null && info.session !== wasKnown) startOver(had);
    await follow(info.comparison);
    if (rows.peek() === null && !isBusy.peek() && place.peek().row !== undefined) lost();
  } catch (error) {
    report(error);
  }
}

/** The server does not know this tab any more: neither its files nor what came of them. */
function startOver(hadFiles: boolean): void {
  forgetComparison();
  status.value = NOTHING;
  if (hadFiles && sides.peek().expected.length === 0) {
    tell("The server has forgotten this tab.", "It was started anew, or nobody used the tab for long. Open the two runs again.");
  }
}

/** The address leads into a comparison that this tab has not got. */
function lost(): void {
  if (banner.peek() === null) tell("This address leads into a comparison that is not open here.", "Open the same two runs, and it leads there.");
}

async function beat(): Promise<void> {
  if (session.peek() === null || connection.peek() !== "good" || isBusy.peek()) return;
  try {
    await api.getStatus();
  } catch (error) {
    report(error);
  }
}

/** Forget the place of before where others were opened. */
export function goToVerdict(): void {
  if (selectedRow.peek() !== null || isOpening.peek()) select(null);
}

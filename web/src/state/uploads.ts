/** Files on their way to the server: each side sends one after the other, so that their order stays. */

import { computed, signal } from "@preact/signals";

import { ApiFailure, getStatus, upload } from "../api/client";
import type { SideName } from "../api/types";
import type { Named } from "../open/dropped-files";
import { rateOf, withSample, type Sample } from "../open/upload-rate";
import { announce } from "./announce";
import { banner, report } from "./banner";
import { bytesText } from "./format";
import { session, sides } from "./page-state";
import { makePlace } from "./side-files";

export interface Sending {
  key: number;
  side: SideName;
  file: File;
  /** With the folders that it was dropped with. */
  path: string;
  sent: number;
  state: "waiting" | "sending" | "refused";
  /** Why it was refused, and what can be done. */
  error: string | null;
  hint: string | null;
}

export const sendings = signal<readonly Sending[]>([]);
/** Those that are still to arrive. */
export const underway = computed(() => sendings.value.filter((one) => one.state !== "refused"));
/** Bytes of this burst of uploads, those that have arrived included. */
export const burst = signal({ sent: 0, total: 0 });
export const rate = signal<number | null>(null);

let keys = 0;
let samples: Sample[] = [];
const controllers = new Map<number, AbortController>();
const running = new Set<SideName>();

/** Take files for a side; what is too large is told at once. */
export function send(side: SideName, files: readonly Named[]): void {
  const most = session.peek()?.limits.max_upload_bytes ?? Infinity;
  if (underway.peek().length === 0) {
    burst.value = { sent: 0, total: 0 };
    samples = [];
    rate.value = null;
  }
  const taken = files.map(({ file, path }): Sending => {
    const made = { key: ++keys, side, file, path, sent: 0, state: "waiting", error: null, hint: null } as const;
    if (file.size <= most) return made;
    const error = `It has ${bytesText(file.size)}; one file may have ${bytesText(most)}.`;
    return { ...made, state: "refused", error, hint: "Give its path to outgrow web instead, or start it with a larger --max-upload." };
  });
  sendings.value = [...sendings.value.filter((one) => one.side !== side || one.state !== "refused"), ...taken];
  for (const one of taken) if (one.state === "refused") showRefusal(one);
  const bytes = taken.filter((one) => one.state === "waiting").reduce((sum, one) => sum + one.file.size, 0);
  burst.value = { ...burst.value, total: burst.value.total + bytes };
  void run(side);
}

/** Stop sending a file, or take a refused one off the page. */
export function drop(key: number): void {
  const one = sendings.peek().find((other) => other.key === key);
  if (!one) return;
  if (one.state !== "refused") burst.value = { sent: burst.value.sent - one.sent, total: burst.value.total - one.file.size };
  sendings.value = sendings.value.filter((other) => other.key !== key);
  controllers.get(key)?.abort();
}

export function dropAll(): void {
  for (const one of underway.peek()) drop(one.key);
  announce("Cancelled");
}

/** Send a refused one once more. */
export function sendAgain(key: number): void {
  const one = sendings.peek().find((other) => other.key === key);
  drop(key);
  if (one) send(one.side, [one]);
}

async function run(side: SideName): Promise<void> {
  if (running.has(side)) return;
  running.add(side);
  if (waiting(side)) await makePlace(side);
  for (let next = waiting(side); next; next = waiting(side)) await sendOne(next);
  running.delete(side);
  if (underway.peek().length === 0 && sendings.peek().length === 0) announce("All files have arrived");
}

function waiting(side: SideName): Sending | undefined {
  return sendings.peek().find((one) => one.side === side && one.state === "waiting");
}

async function sendOne(one: Sending): Promise<void> {
  const controller = new AbortController();
  controllers.set(one.key, controller);
  change(one.key, { state: "sending" });
  try {
    const item = await upload(one.side, one.file, one.path, (sent) => progress(one, sent), controller.signal);
    progress(one, one.file.size);
    sides.value = { ...sides.value, [one.side]: [...sides.value[one.side], item] };
    sendings.value = sendings.value.filter((other) => other.key !== one.key);
  } catch (error) {
    if (!(error instanceof ApiFailure)) report(error);
    else if (error.code !== "cancelled") refuse(one, error);
  } finally {
    controllers.delete(one.key);
  }
}

function progress(one: Sending, bytes: number): void {
  const now = sendings.peek().find((other) => other.key === one.key);
  if (!now) return;
  // The browser counts what wraps the file, too.
  const sent = Math.min(bytes, one.file.size);
  burst.value = { ...burst.value, sent: burst.value.sent + sent - now.sent };
  samples = withSample(samples, { at: performance.now(), bytes: burst.value.sent });
  rate.value = rateOf(samples);
  change(one.key, { sent });
}

function refuse(one: Sending, failure: ApiFailure): void {
  const now = sendings.peek().find((other) => other.key === one.key);
  burst.value = { sent: burst.value.sent - (now?.sent ?? 0), total: burst.value.total - one.file.size };
  const refused: Sending = { ...one, state: "refused", error: failure.message, hint: failure.hint };
  change(one.key, refused);
  showRefusal(refused);
  if (failure.code === "session" || failure.status === 401) report(failure);
  // It may have been this file alone, or the server has gone.
  if (failure.code === "offline") getStatus().catch(report);
}

function showRefusal(one: Sending): void {
  banner.value = { message: `${one.path}: ${one.error}`, hint: one.hint };
}

function change(key: number, changes: Partial<Sending>): void {
  sendings.value = sendings.value.map((one) => (one.key === key ? { ...one, ...changes } : one));
}

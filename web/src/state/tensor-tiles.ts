/** The pictures of both sides and of what lies between, as they come from the server. */

import { effect, signal } from "@preact/signals";

import { ApiFailure, getTile } from "../api/client";
import type { TileHead, Window } from "../api/types";
import { report } from "./banner";
import { isCurrent, selectedRow, status } from "./page-state";
import { Latest } from "./tensor-latest";
import type { Look, Viewport } from "./tensor-place";
import { planeWindow } from "./tensor-spec";
import { isEmpty } from "./tensor-values";
import { look } from "./tensor-view";

export type Which = "expected" | "actual" | "difference";

export interface Tile {
  head: TileHead;
  values: Float32Array;
  /** What it shows, in cells. */
  part: Viewport;
}

export interface Tiles {
  look: Look;
  expected: Tile | null;
  actual: Tile | null;
  difference: Tile | null;
}

export const tiles = signal<Tiles | null>(null);
/** Pixels of one heat map on the screen; null while none is shown. */
export const heatSize = signal<{ height: number; width: number } | null>(null);

/** Whether what is drawn is another slice: the one that is wanted is on its way. */
export const isDrawing = signal(false);

let last = "";
const latest = new Latest((error) => {
  last = "";
  // What was drawn is another slice.
  tiles.value = null;
  isDrawing.value = false;
  // A refusal is told where the numbers would be.
  if (!(error instanceof ApiFailure) || error.status < 400) report(error);
});

/** The part of the pictures of a look that the server is asked for. */
export function whichOf(now: Look): Which[] {
  const hasActual = now.view === "aligned" || now.actual !== null;
  if (now.expected && hasActual) return ["expected", "actual", "difference"];
  return now.expected ? ["expected"] : ["actual"];
}

async function fetchTile(now: Look, window: Window, which: Which, size: { height: number; width: number }, signal: AbortSignal): Promise<Tile | null> {
  const spec = which === "actual" && window.actual ? window.actual : (window.expected ?? window.actual);
  const isThere = which !== "difference" || now.view === "aligned" || (window.expected !== null && window.actual !== null);
  if (!spec || !isThere || (now.view === "own" && which !== "difference" && window[which] === null)) return null;
  const { head, values } = await getTile(now.row, { ...window, which, max_height: size.height, max_width: size.width }, signal);
  const part = {
    row0: spec.row0,
    column0: spec.column0,
    height: head.height * head.rows_per_pixel,
    width: head.width * head.columns_per_pixel,
  };
  return { head, values, part };
}

effect(() => {
  const now = look.value;
  const size = heatSize.value;
  if (!now || !size || now.row !== selectedRow.value || !isCurrent.value || isEmpty(now)) return;
  const window = planeWindow(now, now.zoom);
  const key = JSON.stringify([now.row, status.value.revision, window, size]);
  if (!window || key === last) return;
  if (tiles.peek()?.look.row !== now.row) tiles.value = null;
  last = key;
  isDrawing.value = true;
  latest.ask(async (signal) => {
    const wanted = whichOf(now);
    const found = await Promise.all(wanted.map((which) => fetchTile(now, window, which, size, signal)));
    if (last !== key) return;
    const of = (which: Which) => found[wanted.indexOf(which)] ?? null;
    isDrawing.value = false;
    tiles.value = { look: now, expected: of("expected"), actual: of("actual"), difference: of("difference") };
  });
});

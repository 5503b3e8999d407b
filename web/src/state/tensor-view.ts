/** What is looked at in the selected row, and the ways to change it. All of it stands in the address. */

import { batch, computed } from "@preact/signals";

import { clampIndex } from "../tensor/tensor-index";
import { detail, move, place } from "./page-state";
import {
  COUNTS, cutChanges, lookAt, scaleText, type Changes, type Cut, type Look, type Mode, type SideKey, type View, type Viewport,
} from "./tensor-place";

/** Null until the row is known. */
export const look = computed<Look | null>(() => {
  const found = detail.value;
  return found ? lookAt(place.value, found) : null;
});

/** Whether both sides are looked at as one laid out as the other, or each in its own dims. */
export const view = computed<View>(() => look.value?.view ?? "aligned");

export function setView(wanted: View): void {
  move({ dims: wanted === "own" ? "own" : undefined, zoom: undefined });
}

/** Give the other side the same indices, as far as it has such dims. */
export function copyIndices(from: SideKey): void {
  const now = look.peek();
  const source = now?.[from];
  const to: SideKey = from === "expected" ? "actual" : "expected";
  const target = now?.[to];
  if (!source || !target) return;
  const fits = (dim: number | null) => dim !== null && dim < target.shape.length;
  setCut(to, {
    at: clampIndex(source.at, target.shape),
    ...(fits(source.rows) && fits(source.columns) ? { rows: source.rows, columns: source.columns } : {}),
  });
}

export function setCut(side: SideKey, cut: Partial<Omit<Cut, "shape">>): void {
  const now = look.peek();
  if (!now) return;
  const changes: Changes = cutChanges(side, now.expected === null, cut);
  if (cut.rows !== undefined || cut.columns !== undefined || cut.rank !== undefined) changes.zoom = undefined;
  move(changes);
}

/** Let the windows of both sides begin elsewhere; null leaves a side where it is. */
export function moveWindows(begin: (cut: Cut, side: SideKey) => number[] | null): void {
  const now = look.peek();
  if (!now) return;
  batch(() => {
    for (const side of ["expected", "actual"] as const) {
      const cut = now[side];
      const at = cut && begin(cut, side);
      if (at) setCut(side, { at });
    }
  });
}

/** Another index of one dim. */
export function setIndex(side: SideKey, dim: number, index: number): void {
  const cut = look.peek()?.[side];
  if (!cut) return;
  const at = [...cut.at];
  at[dim] = index;
  setCut(side, { at: clampIndex(at, cut.shape) });
}

/** Let a dim run downwards or to the right; what was there changes places with it. */
export function setRole(side: SideKey, dim: number, role: "rows" | "columns"): void {
  const cut = look.peek()?.[side];
  if (!cut || cut[role] === dim) return;
  const other = role === "rows" ? "columns" : "rows";
  setCut(side, {
    rows: cut.rows,
    columns: cut.columns,
    [role]: dim,
    ...(cut[other] === dim ? { [other]: cut[role] } : {}),
  });
}

export function transpose(): void {
  const now = look.peek();
  batch(() => {
    for (const side of ["expected", "actual"] as const) {
      const cut = now?.[side];
      if (cut && cut.rows !== null && cut.columns !== null) setCut(side, { rows: cut.columns, columns: cut.rows });
    }
  });
}

export function setMode(mode: Mode): void {
  move({ mode, zoom: undefined });
}

export function setCount(count: number): void {
  move({ count: count === COUNTS[look.peek()?.mode ?? "line"][0] ? undefined : count });
}

export function setDifference(isShown: boolean): void {
  move({ difference: isShown ? 1 : 0 });
}

export function setScale(changes: Partial<Look["scale"]>): void {
  const now = look.peek();
  if (now) move({ scale: scaleText({ ...now.scale, ...changes }) });
}

export function setZoom(zoom: Viewport | null): void {
  move({ zoom: zoom ? [zoom.row0, zoom.column0, zoom.height, zoom.width].map((edge) => +edge.toFixed(3)).join(",") : undefined });
}

/** How a tensor is looked at, as it stands in the address. Pure: from the place to a view and back. */

import type { Detail } from "../api/types";
import { clamp, clampIndex, elementsOf, type Shape } from "../tensor/tensor-index";
import type { Place } from "./link";

export type View = "aligned" | "own";
/** A line along one dim, a plane of two, or all numbers in one line. */
export type Mode = "line" | "plane" | "flat";
export type SideKey = "expected" | "actual";

/** How one side is cut. */
export interface Cut {
  /** Of the first number that is shown, in the dims of `shape`. */
  at: number[];
  rows: number | null;
  columns: number | null;
  /** Which rank's tensor, where each is looked at for itself. */
  rank: number;
  shape: Shape;
}

/** Fields of the address; undefined takes one away. */
export type Changes = Record<string, string | number | undefined>;

/** A part of the heat map, in cells. */
export interface Viewport {
  row0: number;
  column0: number;
  height: number;
  width: number;
}

export interface Look {
  row: number;
  view: View;
  /** Whether the sides can be laid out alike. */
  canAlign: boolean;
  mode: Mode;
  /** Numbers of a line, or of an edge of the plane. */
  count: number;
  expected: Cut | null;
  actual: Cut | null;
  difference: boolean;
  scale: { isShared: boolean; isLog: boolean; isWhole: boolean };
  zoom: Viewport | null;
}

export const COUNTS: Record<Mode, readonly number[]> = {
  line: [10, 25, 100, 1000],
  flat: [10, 25, 100, 1000],
  plane: [10, 16, 25, 40],
};

const MODES: readonly Mode[] = ["line", "plane", "flat"];

/** What is shown of the row, with everything that the address leaves open filled in. */
export function lookAt(place: Place, detail: Detail): Look {
  const canAlign = detail.layout !== null && detail.expected !== null && detail.actual.length > 0;
  const view: View = canAlign && place.dims !== "own" ? "aligned" : "own";
  const expectedShape = view === "aligned" ? detail.shape : detail.expected?.shape;
  const expected = expectedShape ? cutOf(place, "", expectedShape, 1) : null;
  const rank = whole(place["actual-rank"]) ?? 0;
  const own = detail.actual[clamp(rank, 0, detail.actual.length - 1)];
  const prefix = expected ? "actual-" : "";
  const actual = view === "own" && own ? cutOf(place, prefix, own.shape, detail.actual.length) : null;
  const first = expected ?? actual;
  const mode = MODES.find((known) => known === place.mode) ?? modeFor(first);
  const counts = COUNTS[mode];
  const wanted = whole(place.count) ?? 0;
  const scale = String(place.scale ?? "").split(",");
  return {
    row: detail.row,
    view,
    canAlign,
    mode: mode === "plane" && (first?.shape.length ?? 0) < 2 ? "line" : mode,
    count: counts.filter((count) => count <= wanted).at(-1) ?? counts[0] ?? 10,
    expected,
    actual,
    difference: place.difference === undefined ? mode !== "plane" : String(place.difference) !== "0",
    scale: { isShared: !scale.includes("own"), isLog: scale.includes("log"), isWhole: scale.includes("tensor") },
    zoom: zoomOf(place.zoom),
  };
}

function cutOf(place: Place, prefix: string, shape: Shape, ranks: number): Cut {
  const [rows, columns] = dimsOf(whole(place[`${prefix}rows`]), whole(place[`${prefix}columns`]), shape);
  return {
    at: clampIndex(String(place[`${prefix}at`] ?? "").split(",").map(Number), shape),
    rows,
    columns,
    rank: clamp(whole(place["actual-rank"]) ?? 0, 0, ranks - 1),
    shape,
  };
}

/** Rows and columns as wanted, or the last two dims that hold more than one number. */
export function dimsOf(
  rows: number | null, columns: number | null, shape: Shape,
): readonly [number | null, number | null] {
  const isDim = (dim: number | null) => dim !== null && dim < shape.length;
  if (isDim(columns) && isDim(rows) && rows !== columns) return [rows, columns];
  const wide = shape.flatMap((size, dim) => (size > 1 ? [dim] : []));
  const across = isDim(columns) ? (columns as number) : (wide.at(-1) ?? shape.length - 1);
  if (across < 0) return [null, null];
  const others = wide.filter((dim) => dim !== across);
  const down = others.filter((dim) => dim < across).at(-1) ?? others.at(-1) ?? across - 1;
  if (down >= 0) return [down, across];
  return [shape.length > 1 ? across + 1 : null, across];
}

/** A line where one has ten numbers or all there are, else everything one after the other. */
function modeFor(cut: Cut | null): Mode {
  if (!cut || cut.columns === null) return "line";
  const length = cut.shape[cut.columns] ?? 0;
  return length >= 10 || length === elementsOf(cut.shape) ? "line" : "flat";
}

function zoomOf(text: string | number | undefined): Viewport | null {
  const parts = String(text ?? "").split(",").map(Number);
  const [row0, column0, height, width] = parts;
  if (parts.length !== 4 || !parts.every((part) => Number.isFinite(part) && part >= 0) || !height || !width) return null;
  return { row0: row0 ?? 0, column0: column0 ?? 0, height, width };
}

function whole(value: string | number | undefined): number | null {
  return value !== undefined && /^\d{1,9}$/.test(String(value)) ? Number(value) : null;
}

/** What one cut is in the address; the only side of a row has the names without a prefix. */
export function cutChanges(side: SideKey, isLone: boolean, cut: Partial<Omit<Cut, "shape">>): Changes {
  const prefix = side === "actual" && !isLone ? "actual-" : "";
  const changes: Changes = {};
  if (cut.at) changes[`${prefix}at`] = cut.at.some((index) => index > 0) ? cut.at.join(",") : undefined;
  if (cut.rows !== undefined) changes[`${prefix}rows`] = cut.rows ?? undefined;
  if (cut.columns !== undefined) changes[`${prefix}columns`] = cut.columns ?? undefined;
  if (cut.rank !== undefined) changes["actual-rank"] = cut.rank || undefined;
  return changes;
}

/** The switches of the colour scale as one short word. */
export function scaleText(scale: Look["scale"]): string | undefined {
  const words = [!scale.isShared && "own", scale.isLog && "log", scale.isWhole && "tensor"].filter(Boolean);
  return words.length > 0 ? words.join(",") : undefined;
}

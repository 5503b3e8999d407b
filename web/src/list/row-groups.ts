/** Which group each row belongs to, and in which order groups stand by themselves. */

import { STATUSES, type Rows } from "../api/types";

export const GROUPINGS = ["none", "layer", "stage", "status"] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** Statuses by how much they want to be looked at, the worst first. */
export const SEVERITY: readonly number[] = [1, 6, 4, 5, 2, 3, 0];
const rank = STATUSES.map((_, status) => SEVERITY.indexOf(status));

/** Whether the first status is worse than the second. */
export function isWorse(status: number, than: number): boolean {
  return (rank[status] as number) < (rank[than] as number);
}

export interface Grouped {
  /** For each row the place of its group in `keys`. */
  of: Int32Array;
  /** Short names that stay the same while filters change: for the address. */
  keys: string[];
  labels: string[];
}

/** Groups of the rows; null where they are not grouped, and where no row has a layer to be grouped by. */
export function rowGroups(rows: Rows, grouping: Grouping): Grouped | null {
  if (grouping === "layer") return byLayer(rows);
  if (grouping === "stage") {
    return {
      of: Int32Array.from(rows.stage),
      keys: rows.stages.map((_, stage) => String(stage)),
      labels: rows.stages.map((stage) => stage.replaceAll("_", " ") || "no stage"),
    };
  }
  if (grouping === "status") {
    const of = Int32Array.from(rows.status, (status) => rank[status] as number);
    return { of, keys: SEVERITY.map(String), labels: SEVERITY.map((status) => STATUSES[status] as string) };
  }
  return null;
}

function byLayer(rows: Rows): Grouped | null {
  let [first, last] = [rows.count, -1];
  rows.layer.forEach((layer, row) => {
    if (layer === null) return;
    first = Math.min(first, row);
    last = row;
  });
  if (last < 0) return null;
  const places = new Map<string, number>();
  const labels: string[] = [];
  const of = new Int32Array(rows.count);
  for (let row = 0; row < rows.count; row += 1) {
    const layer = rows.layer[row] ?? null;
    const key = layer !== null ? String(layer) : row < first ? "before" : row > last ? "after" : "between";
    let place = places.get(key);
    if (place === undefined) {
      place = labels.length;
      places.set(key, place);
      labels.push(layer !== null ? `Layer ${layer}` : `${LOOSE[key]} the layers`);
    }
    of[row] = place;
  }
  return { of, keys: [...places.keys()], labels };
}

const LOOSE: Record<string, string> = { before: "Before", after: "After", between: "Between" };

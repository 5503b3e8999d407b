/** What the chart says in words. */

import { STATUSES, type Rows, type Verdict } from "../api/types";
import { rowName } from "../list/row-text";
import { figureText } from "../state/format";
import type { Mark } from "./depth-paint";
import type { DepthPoints } from "./depth-points";

/** The whole chart in a sentence or two, for those who do not see it. */
export function chartLabel(rows: Rows, points: DepthPoints, first: number | null, healed: number | null): string {
  const place = (row: number): string => `${rowName(rows, row)}, tensor ${count((points.places[row] as number) + 1)} of ${count(points.count)}`;
  const begin = `Relative error of ${count(points.count)} tensors in order of execution`;
  if (points.count === 0) return "Relative error in order of execution: nothing could be compared";
  if (first === null) return `${begin}: none of them begins to differ`;
  const healing = healed === null ? "" : `; it is gone from ${place(healed)} on`;
  return `${begin}: they begin to differ at ${place(first)} (relative error ${figureText(rows.error[first])})${healing}`;
}

function count(number: number): string {
  return number.toLocaleString("en");
}

/** One point in a line. */
export function pointLabel(rows: Rows, row: number): string {
  return `${rowName(rows, row)}, ${STATUSES[rows.status[row] as number]}, relative error ${figureText(rows.error[row])}`;
}

/** The lines of the chart: where the runs part, and where they meet again. */
export function chartMarks(rows: Rows, points: DepthPoints, found: Pick<Verdict, "first" | "healed"> | null): Mark[] {
  const marks: Mark[] = [];
  const add = (row: number | null | undefined, word: string, status: number): void => {
    const point = row === null || row === undefined ? -1 : (points.places[row] ?? -1);
    if (point >= 0) marks.push({ point, status, text: `${word}: ${shortName(rowName(rows, row as number), 44)}` });
  };
  add(found?.first, "first", 1);
  add(found?.healed, "healed", 3);
  return marks;
}

/** A name without its middle where it is longer than `most`. */
export function shortName(name: string, most: number): string {
  const points = [...name];
  if (points.length <= most) return name;
  const half = (most - 1) >> 1;
  return `${points.slice(0, half).join("")}…${points.slice(points.length - (most - 1 - half)).join("")}`;
}

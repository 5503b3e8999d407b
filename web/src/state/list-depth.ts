/** The error over depth: its points, and the part of them that is shown. */

import { computed } from "@preact/signals";

import { depthPoints } from "../verdict/depth-points";
import { parseSpan, spanText, wholeSpan, type Span } from "../verdict/depth-scale";
import { chartLabel, chartMarks } from "../verdict/depth-words";
import { move, place, rows, selectedRow, verdict } from "./page-state";

export const points = computed(() => rows.value && depthPoints(rows.value));

const zoomText = computed(() => place.value["zoom"]);
/** The points that are shown. */
export const span = computed<Span>(() => (points.value ? parseSpan(zoomText.value, points.value) : { from: 0, to: 0 }));

/** Show these points; null for all. */
export function zoom(to: Span | null): void {
  const all = points.peek();
  if (all) move({ zoom: spanText(to ?? wholeSpan(all), all) });
}

export const marks = computed(() => (rows.value && points.value ? chartMarks(rows.value, points.value, verdict.value) : []));

export const label = computed(() => {
  const [all, found] = [rows.value, verdict.value];
  return all && points.value ? chartLabel(all, points.value, found?.first ?? null, found?.healed ?? null) : "";
});

/** The point of the row that is selected; -1 for none. */
export const selectedPoint = computed(() => {
  const row = selectedRow.value;
  return row === null ? -1 : (points.value?.places[row] ?? -1);
});

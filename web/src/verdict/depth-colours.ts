/** The colours of the chart, from the variables of the theme. */

import { STATUSES } from "../api/types";

export interface Colours {
  ink: string;
  soft: string;
  line: string;
  band: string;
  page: string;
  accent: string;
  /** By the number of a status. */
  status: string[];
}

const VARIABLES: Record<string, string> = { "only expected": "lone", "only actual": "lone", refused: "soft" };

/** As they are now; they change with the theme. */
export function readColours(element: Element): Colours {
  const style = getComputedStyle(element);
  const named = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: named("ink"), soft: named("soft"), line: named("line"), band: named("band"), page: named("page"), accent: named("accent"),
    status: STATUSES.map((status) => named(VARIABLES[status] ?? status)),
  };
}

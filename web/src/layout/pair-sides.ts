/** How a pair is called in a rule. Pure. */

import type { Detail } from "../api/types";
import { sideText } from "./rule-text";

export interface PairSides {
  /** Names as the list has them. */
  names: { expected: string | null; actual: string | null };
  /** The same as sides of a rule; `-` where there is none. */
  texts: { expected: string; actual: string };
}

export function pairSides(detail: Pick<Detail, "expected" | "actual" | "fused">): PairSides {
  const { fused } = detail;
  const part = fused ? `[${fused.parts[fused.index]}]` : "";
  const named = (side: "expected" | "actual", name: string | undefined) =>
    name === undefined ? null : fused?.side === side && !name.endsWith(part) ? name + part : name;
  const names = { expected: named("expected", detail.expected?.name), actual: named("actual", detail.actual[0]?.name) };
  const text = (name: string | null) => (name === null ? "-" : sideText(name));
  return { names, texts: { expected: text(names.expected), actual: text(names.actual) } };
}

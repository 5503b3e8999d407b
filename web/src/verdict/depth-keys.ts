/** What a key does in the chart. */

import type { Span } from "./depth-scale";

/** The point that a key goes to; null where the key is none of them. `from` is -1 before any was looked at. */
export function pointAfterKey(key: string, from: number, span: Span, count: number): number | null {
  if (count === 0) return null;
  const page = Math.max(1, Math.round((span.to - span.from) / 10));
  const within = (to: number): number => Math.max(0, Math.min(count - 1, to));
  if (from < 0) return KEYS.has(key) ? (key === "End" ? span.to : span.from) : null;
  switch (key) {
    case "ArrowRight":
      return within(from + 1);
    case "ArrowLeft":
      return within(from - 1);
    case "PageDown":
      return within(from + page);
    case "PageUp":
      return within(from - page);
    case "Home":
      return span.from;
    case "End":
      return span.to;
    default:
      return null;
  }
}

const KEYS: ReadonlySet<string> = new Set(["ArrowRight", "ArrowLeft", "PageDown", "PageUp", "Home", "End"]);

import type { Item } from "../api/types";

/** The items with one of them a step further; the same ones where it cannot go. */
export function moved(items: readonly Item[], id: string, step: 1 | -1): Item[] {
  const from = items.findIndex((item) => item.id === id);
  const to = from + step;
  const found = [...items];
  const item = found[from];
  if (!item || to < 0 || to >= items.length) return found;
  found.splice(from, 1);
  found.splice(to, 0, item);
  return found;
}

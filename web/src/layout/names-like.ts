/** Names to choose from. Pure. */

import { filterWords, occurs } from "../list/name-filter";

const MOST = 100;

/** Those that have all words of the filter, each once; without a filter those that look alike come first. */
export function namesLike(
  names: readonly (string | null)[], filter: string, near: readonly string[],
): { names: string[]; count: number } {
  const words = filterWords(filter);
  const all = new Set<string>();
  if (words.length === 0) for (const name of near) if (names.includes(name)) all.add(name);
  for (const name of names) {
    if (name === null) continue;
    const folded = name.toLowerCase();
    if (words.every((pieces) => occurs(pieces, folded))) all.add(name);
  }
  return { names: [...all].slice(0, MOST), count: all.size };
}

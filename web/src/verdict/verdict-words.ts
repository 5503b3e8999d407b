/** `They differ: the first …` in its two parts; without a colon the whole is the title. */
export function titleAndRest(sentence: string): [title: string, rest: string] {
  const end = sentence.indexOf(": ");
  if (end < 0) return [sentence, ""];
  const rest = sentence.slice(end + 2);
  return [sentence.slice(0, end + 1), rest];
}

/** Names that are shown, and how many are left out. */
export function someOf<T>(all: readonly T[], most: number): { shown: T[]; more: number } {
  // One more line for one name would be no gain.
  if (all.length <= most + 1) return { shown: [...all], more: 0 };
  return { shown: all.slice(0, most), more: all.length - most };
}

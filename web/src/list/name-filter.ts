/** Which rows a filter text lets through: every word has to occur in one of the row's names. */

import type { Rows } from "../api/types";

/** Names in lower case; `second` is null where both sides have one name. */
export interface FoldedNames {
  first: string[];
  second: (string | null)[];
}

export function foldNames(rows: Pick<Rows, "expected" | "actual">): FoldedNames {
  const first: string[] = [];
  const second: (string | null)[] = [];
  rows.expected.forEach((expected, row) => {
    const actual = rows.actual[row] ?? null;
    first.push((expected ?? actual ?? "").toLowerCase());
    second.push(expected === null || actual === null || actual === expected ? null : actual.toLowerCase());
  });
  return { first, second };
}

/** The words of a text, each as the pieces between its `*`, in lower case. */
export function filterWords(text: string): string[][] {
  return text
    .toLowerCase()
    .split(/\s+/)
    .map((word) => word.split("*").filter(Boolean))
    .filter((pieces) => pieces.length > 0);
}

/** Whether the pieces of a word stand in a name one after the other. */
export function occurs(pieces: readonly string[], name: string): boolean {
  let from = 0;
  for (const piece of pieces) {
    const place = name.indexOf(piece, from);
    if (place < 0) return false;
    from = place + piece.length;
  }
  return true;
}

/** Whether a row has all the words, each in either name. */
export function nameFits(words: readonly string[][], first: string, second: string | null): boolean {
  for (const pieces of words) {
    if (!occurs(pieces, first) && (second === null || !occurs(pieces, second))) return false;
  }
  return true;
}

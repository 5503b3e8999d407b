/** Which number is marked: a cell of the window, the same on both sides. */

import { signal } from "@preact/signals";

export interface Cursor {
  /** Counted in the window that is shown. */
  row: number;
  column: number;
  /** Whether the keyboard is to go there as soon as it is drawn. */
  isWanted: boolean;
  /** Whether a search or a jump has led here, so that it is marked. */
  isFound: boolean;
}

export const cursor = signal<Cursor>({ row: 0, column: 0, isWanted: false, isFound: false });

/** The keyboard is on this cell. */
export function pointTo(row: number, column: number, isWanted = false): void {
  const now = cursor.peek();
  const isFound = now.isFound && now.row === row && now.column === column;
  cursor.value = { row, column, isWanted, isFound };
}

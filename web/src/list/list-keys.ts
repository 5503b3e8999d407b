/** What a key does in the list. */

/** The entry that a key goes to from `index`; null where the key is not one of them. */
export function entryAfterKey(key: string, index: number, count: number, page: number): number | null {
  if (count === 0) return null;
  const last = count - 1;
  const within = (to: number): number => Math.max(0, Math.min(last, to));
  switch (key) {
    case "ArrowDown":
      return within(index + 1);
    case "ArrowUp":
      return index < 0 ? last : within(index - 1);
    case "PageDown":
      return within(Math.max(index, 0) + page);
    case "PageUp":
      return within(Math.max(index, 0) - page);
    case "Home":
      return 0;
    case "End":
      return last;
    default:
      return null;
  }
}

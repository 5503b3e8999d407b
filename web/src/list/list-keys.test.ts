import { expect, test } from "vitest";

import { entryAfterKey } from "./list-keys";

test("keys go through the list and stop at its ends", () => {
  expect(entryAfterKey("ArrowDown", -1, 5, 2)).toBe(0);
  expect(entryAfterKey("ArrowUp", -1, 5, 2)).toBe(4);
  expect(entryAfterKey("ArrowDown", 4, 5, 2)).toBe(4);
  expect(entryAfterKey("PageDown", 3, 5, 2)).toBe(4);
  expect(entryAfterKey("PageUp", 1, 5, 2)).toBe(0);
  expect(entryAfterKey("Home", 3, 5, 2)).toBe(0);
  expect(entryAfterKey("End", 0, 5, 2)).toBe(4);
  expect(entryAfterKey("x", 0, 5, 2)).toBe(null);
  expect(entryAfterKey("Home", -1, 0, 2)).toBe(null);
});

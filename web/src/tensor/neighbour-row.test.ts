import { expect, test } from "vitest";

import { neighbourOf } from "./neighbour-row";

const all = { count: 5, status: [0, 1, 0, 0, 6] };

test("neighbours are the next ones, or the next that are not ok", () => {
  expect(neighbourOf(all, 1, 1, false)).toBe(2);
  expect(neighbourOf(all, 1, 1, true)).toBe(4);
  expect(neighbourOf(all, 4, -1, true)).toBe(1);
  expect(neighbourOf(all, 1, -1, true)).toBeNull();
  expect(neighbourOf(all, 4, 1, false)).toBeNull();
});

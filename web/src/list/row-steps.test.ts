import { expect, test } from "vitest";

import { nextPlace, nextWrong } from "./row-steps";

const SHOWN = Int32Array.from([4, 2, 9, 7]);

test("neighbours are those of the list, and there is none beyond its ends", () => {
  expect(nextPlace(SHOWN, 4, 1)).toBe(1);
  expect(nextPlace(SHOWN, 7, 1)).toBe(-1);
  expect(nextPlace(SHOWN, 4, -1)).toBe(-1);
  expect(nextPlace(SHOWN, 9, -1)).toBe(1);
});

test("from nowhere one begins at an end", () => {
  expect(nextPlace(SHOWN, null, 1)).toBe(0);
  expect(nextPlace(SHOWN, null, -1)).toBe(3);
  expect(nextPlace(new Int32Array(), null, 1)).toBe(-1);
});

test("from a row that is filtered out the nearest one on that side is next", () => {
  expect(SHOWN[nextPlace(SHOWN, 5, 1)]).toBe(7);
  expect(SHOWN[nextPlace(SHOWN, 5, -1)]).toBe(4);
  expect(nextPlace(SHOWN, 10, 1)).toBe(-1);
});

test("what was inherited or has healed is passed over, and after the last comes the first", () => {
  const status = [0, 1, 2, 3, 4, 0, 6];
  const all = Int32Array.from(status.keys());
  expect(nextWrong(status, all, null, 1)).toBe(1);
  expect(nextWrong(status, all, 1, 1)).toBe(4);
  expect(nextWrong(status, all, 4, 1)).toBe(6);
  expect(nextWrong(status, all, 6, 1)).toBe(1);
  expect(nextWrong(status, all, 1, -1)).toBe(6);
  expect(nextWrong(status, all, null, -1)).toBe(6);
});

test("where nothing else is wrong one stays", () => {
  expect(nextWrong([0, 1, 0], Int32Array.from([0, 1, 2]), 1, 1)).toBe(null);
  expect(nextWrong([0, 0], Int32Array.from([0, 1]), 0, 1)).toBe(null);
  expect(nextWrong([], new Int32Array(), null, 1)).toBe(null);
});

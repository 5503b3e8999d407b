import { expect, test } from "vitest";

import { pageRows, rowWindow, topFor } from "./row-window";

test("all that is seen is drawn, and the number of lines stays the same in the middle", () => {
  const sizes = new Set<number>();
  for (let top = 0; top <= 26 * 1000 - 555; top += 37) {
    const { from, to } = rowWindow(top, 555, 26, 1000);
    expect(from).toBeLessThanOrEqual(Math.floor(top / 26));
    expect(to).toBeGreaterThanOrEqual(Math.min(1000, Math.ceil((top + 555) / 26)));
    expect(from).toBeGreaterThanOrEqual(0);
    expect(to).toBeLessThanOrEqual(1000);
    if (top > 1000 && top < 20_000) sizes.add(to - from);
  }
  expect(sizes.size).toBe(1);
});

test("short and empty lists are drawn whole", () => {
  expect(rowWindow(0, 500, 26, 3)).toEqual({ from: 0, to: 3 });
  expect(rowWindow(0, 500, 26, 0)).toEqual({ from: 0, to: 0 });
  expect(rowWindow(9999, 500, 26, 3)).toEqual({ from: 0, to: 3 });
  expect(rowWindow(400, 500, 26, 500)).toEqual({ from: 0, to: 500 });
});

test("a line is scrolled to only where it is not seen whole, and never below the floating header", () => {
  expect(topFor(10, 0, 520, 26, 26)).toBe(0);
  expect(topFor(30, 0, 520, 26, 26)).toBe(31 * 26 - 520);
  expect(topFor(30, 2000, 520, 26, 26)).toBe(29 * 26);
  expect(topFor(0, 2000, 520, 26, 26)).toBe(0);
});

test("a page keeps a line of the one before", () => {
  expect(pageRows(520, 26, 26)).toBe(18);
  expect(pageRows(10, 26, 26)).toBe(1);
});

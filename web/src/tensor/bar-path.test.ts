import { expect, test } from "vitest";

import { barUnder, heightsOf, stepPath } from "./bar-path";

test("one number is seen beside many, and none is nothing", () => {
  const [none, one, most] = heightsOf([0, 1, 1_000_000], 1_000_000);
  expect(none).toBe(0);
  expect(one).toBeGreaterThan(0.04);
  expect(most).toBe(1);
  expect(heightsOf([0, 0], 0)).toEqual([0, 0]);
});

test("the outline goes from bar to bar and is closed at the bottom", () => {
  expect(stepPath([1, 0.5], 20, 10)).toBe("M0 10L0.0 0.0L10.0 0.0L10.0 5.0L20.0 5.0L20 10Z");
  expect(stepPath([], 20, 10)).toBe("");
  expect([barUnder(0, 4), barUnder(0.49, 4), barUnder(1, 4)]).toEqual([0, 1, 3]);
});

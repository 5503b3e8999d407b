import { expect, test } from "vitest";

import { rateOf, remainingText, withSample, type Sample } from "./upload-rate";

test("the rate is that of the last moments", () => {
  let samples: Sample[] = [];
  for (let step = 0; step <= 100; step += 1) samples = withSample(samples, { at: step * 100, bytes: step < 50 ? step : 50 + (step - 50) * 1000 });
  expect(rateOf(samples)).toBeCloseTo(10_000);
  expect(samples.length).toBeLessThan(40);
});

test("a moment tells nothing", () => {
  expect(rateOf([])).toBeNull();
  expect(rateOf([{ at: 0, bytes: 0 }, { at: 10, bytes: 1e9 }])).toBeNull();
});

test("what remains is said in words", () => {
  expect(remainingText(1e9, null)).toBe("");
  expect(remainingText(1e9, 0)).toBe("");
  expect(remainingText(1e6, 1e8)).toBe("");
  expect(remainingText(1e9, 1e8)).toBe("10 s left");
  expect(remainingText(60e9, 1e8)).toBe("10 min left");
});

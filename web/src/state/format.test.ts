import { expect, test } from "vitest";

import { agoText, bytesText, figureText, plural, shapeText } from "./format";

test.each([
  [null, "-"], [undefined, "-"], ["nan", "NaN"], ["inf", "inf"], ["-inf", "-inf"], [0, "0"], [-0, "0"],
  [0.5, "0.5"], [-0.5, "-0.5"], [1234.5678, "1235"], [3.14e-7, "3.1e-7"], [-2e10, "-2.0e+10"], [1e-3, "0.001"],
] as const)("%j is read as %s", (figure, text) => {
  expect(figureText(figure)).toBe(text);
});

test.each([[0, "0 B"], [1023, "1023 B"], [1024, "1.0 KiB"], [190 * 2 ** 20, "190 MiB"], [64 * 2 ** 30, "64 GiB"], [2 ** 60, "1048576 TiB"]] as const)(
  "%i bytes are %s",
  (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  },
);

test("shapes and counts", () => {
  expect(shapeText([])).toBe("[]");
  expect(shapeText([1, 8, 76, 64])).toBe("[1, 8, 76, 64]");
  expect(plural(1, "pair")).toBe("1 pair");
  expect(plural(12_345, "pair")).toBe("12,345 pairs");
  expect(plural(1, "entry", "entries")).toBe("1 entry");
  expect(plural(2, "entry", "entries")).toBe("2 entries");
});

test.each([[3, "just now"], [-5, "just now"], [61, "1 min ago"], [7200, "2 h ago"], [86_400, "1 day ago"], [200_000, "2 days ago"]] as const)(
  "%i seconds are %s",
  (seconds, text) => {
    expect(agoText(seconds)).toBe(text);
  },
);

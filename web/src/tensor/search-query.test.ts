import { expect, test } from "vitest";

import { parseSearch } from "./search-query";

test("values, ranges, bounds and what is no number are told apart", () => {
  expect(parseSearch("0.5")).toMatchObject({ what: "value", low: "0.5" });
  expect(parseSearch(" -1e-3 ")).toMatchObject({ what: "value", low: "-1e-3" });
  expect(parseSearch(".5")).toMatchObject({ what: "value", low: ".5" });
  expect(parseSearch("5.")).toMatchObject({ what: "value", low: "5." });
  expect(parseSearch("9007199254740993")).toMatchObject({ what: "value", low: "9007199254740993" });
  expect(parseSearch("0.1..0.2")).toEqual({ what: "range", low: "0.1", high: "0.2", words: "0.1 to 0.2" });
  expect(parseSearch("-2 .. -1")).toMatchObject({ what: "range", low: "-2", high: "-1" });
  expect(parseSearch("..3")).toEqual({ what: "range", high: "3", words: "3 or less" });
  expect(parseSearch(">3")).toEqual({ what: "range", low: "3", words: "3 or more" });
  expect(parseSearch("<= -1")).toEqual({ what: "range", high: "-1", words: "-1 or less" });
  expect(parseSearch("NaN")).toEqual({ what: "nan", words: "NaN" });
  expect(parseSearch("inf")).toMatchObject({ what: "value", low: "inf" });
  expect(parseSearch("−∞")).toMatchObject({ what: "value", low: "-inf" });
  expect(parseSearch("True")).toMatchObject({ what: "value", low: "True" });
  expect(parseSearch("(1+2j)")).toMatchObject({ what: "value", low: "(1+2j)" });
  expect(parseSearch("2j")).toMatchObject({ what: "value", low: "2j" });
});

test("what means nothing is refused in words", () => {
  expect(parseSearch("")).toMatch(/type a number/);
  expect(parseSearch("abc")).toMatch(/no number/);
  expect(parseSearch("1..x")).toMatch(/x is no number/);
  expect(parseSearch("..")).toMatch(/has an end/);
  expect(parseSearch("3..1")).toMatch(/larger/);
  expect(parseSearch("1 2")).toMatch(/no number/);
  expect(parseSearch("-")).toMatch(/no number/);
});

test("complex numbers are read in every way that Python writes them", () => {
  for (const text of ["1+2j", "-1.5-.5j", "(1e3+2.e-1j)", "j2j", "+j", "1-j", "(nan+1j)", "infj"]) {
    expect(typeof parseSearch(text)).toBe(["j2j", "(nan+1j)"].includes(text) ? "string" : "object");
  }
});

test.each(["1".repeat(399) + "x", "1".repeat(100_000), " ".repeat(50_000) + "1" + " ".repeat(50_000) + "x", "1" + " ".repeat(398) + "x"])(
  "a long text is refused at once (%#)",
  (text) => {
    const began = performance.now();
    expect(parseSearch(text)).toMatch(/no number/);
    expect(performance.now() - began).toBeLessThan(200);
  },
);

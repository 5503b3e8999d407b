import { expect, test } from "vitest";

import { covers, isPattern, nameOf, sideText } from "./rule-text";

test.each([
  ["0_query", "0_query"],
  ["model.layers.3/x[0]", "model.layers.3/x[0]"],
  ["a b", '"a b"'],
  ["-", '"-"'],
  ["a*", '"a*"'],
  ["{layer}", '"{layer}"'],
  ['say "x"', '"say \\"x\\""'],
  ["a=b", '"a=b"'],
])("the name %s stands in a rule as %s", (name, text) => {
  expect(sideText(name)).toBe(text);
  expect(nameOf(text)).toBe(name);
});

test("a pattern and nothing have no name", () => {
  expect(nameOf("{layer}_query")).toBeNull();
  expect(nameOf("*")).toBeNull();
  expect(nameOf("-")).toBeNull();
  expect(isPattern('"a*"')).toBe(false);
});

test.each([
  ["{layer}_query", "12_query", true],
  ["{layer}_query", "a_query", false],
  ["{layer}_query", "1_query_final", false],
  ["a{layer}2", "a122", false],
  ["m.{layer}.*", "m.3.a.b", true],
  ["0_query", "0_query", false],
  ["x.*", "x+y", false],
])("%s covers %s: %s", (pattern, name, is) => {
  expect(covers(pattern, name)).toBe(is);
});

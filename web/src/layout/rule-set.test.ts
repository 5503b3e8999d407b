import { expect, test } from "vitest";

import { rulePlace, ruleWords, withoutRule, withRule } from "./rule-set";

const rule = (expected: string, actual: string, layout: string | null = null) => ({ expected, actual, layout });

test("a tensor has one rule", () => {
  const rules = [rule("a", "x"), rule("b", "y"), rule("c", "-")];
  expect(withRule(rules, rule("a", "y"))).toEqual([rule("c", "-"), rule("a", "y")]);
  expect(withRule(rules, rule("d", "-"))).toEqual([...rules, rule("d", "-")]);
  expect(withRule(rules, rule("-", "y"))).toEqual([rule("a", "x"), rule("c", "-"), rule("-", "y")]);
});

test("a pattern takes the place of names that it covers, and a name is an exception from it", () => {
  const rules = [rule("1_query", "5_query"), rule("1_key", "1_key")];
  const all = rule("{layer}_query", "{layer}_query", "permute(1, 0, 2)");
  expect(withRule(rules, all)).toEqual([rule("1_key", "1_key"), all]);
  expect(withRule([all], rule("1_query", "-"))).toEqual([all, rule("1_query", "-")]);
});

test("which rule decides", () => {
  const rules = [rule("{layer}_q", "{layer}_k"), rule("1_q", "7_k"), rule("-", "z")];
  expect(rulePlace(rules, "1_q", "7_k")).toBe(1);
  expect(rulePlace(rules, "2_q", "2_k")).toBe(0);
  expect(rulePlace(rules, null, "z")).toBe(2);
  expect(rulePlace(rules, "other", "thing")).toBe(-1);
  expect(withoutRule(rules, 1)).toEqual([rules[0], rules[2]]);
  expect(rules.map(ruleWords)).toEqual(["{layer}_q = {layer}_k", "1_q = 7_k", "z has no partner"]);
});

/** The user's rules, with one more or one less. Pure. */

import type { MapRule } from "../api/types";
import { covers, nameOf } from "./rule-text";

/** The rules with this one in the place of all that are about the same tensors. A pattern goes before names that it
 * covers, a name is an exception from a pattern. */
export function withRule(rules: readonly MapRule[], rule: MapRule): MapRule[] {
  const kept = rules.filter((other) => {
    if (other.expected !== "-" && other.expected === rule.expected) return false;
    if (other.actual !== "-" && other.actual === rule.actual) return false;
    const name = nameOf(other.expected);
    return name === null || !covers(rule.expected, name);
  });
  return [...kept, { expected: rule.expected, actual: rule.actual, layout: rule.layout }];
}

export function withoutRule(rules: readonly MapRule[], place: number): MapRule[] {
  return rules.filter((_, other) => other !== place);
}

/** The place of the rule that decides about a tensor; -1 where none does. */
export function rulePlace(rules: readonly MapRule[], expected: string | null, actual: string | null): number {
  const isNamed = (rule: MapRule) =>
    (expected !== null && nameOf(rule.expected) === expected) || (actual !== null && nameOf(rule.actual) === actual);
  const named = rules.findIndex(isNamed);
  if (named >= 0 || expected === null) return named;
  return rules.findIndex((rule) => covers(rule.expected, expected));
}

export function ruleWords(rule: MapRule): string {
  if (rule.actual === "-") return `${rule.expected} has no partner`;
  if (rule.expected === "-") return `${rule.actual} has no partner`;
  return `${rule.expected} = ${rule.actual}`;
}

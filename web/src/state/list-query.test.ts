import { expect, test } from "vitest";

import { parsePlace, placeText, type Place } from "./link";
import { hasFilters, isClosed, placeOfQuery, queryOf, withGroup, withoutFilters, type ListQuery } from "./list-query";

const START = queryOf({});

test("an empty address asks for all rows in their order, by layer", () => {
  expect(START).toEqual({
    text: "", hidden: new Set(), dtype: null, grouping: "layer", key: "order", isDescending: false, folded: new Set(), isInverted: false,
  });
  expect(Object.values(placeOfQuery(START)).every((value) => value === undefined)).toBe(true);
});

test("what is asked comes back from the address", () => {
  const asked: ListQuery = {
    text: "attn q*, &#=é", hidden: new Set([0, 4]), dtype: "float8_e4m3fn", grouping: "status", key: "error", isDescending: true,
    folded: new Set(["1", "before"]), isInverted: true,
  };
  const text = placeText(placeOfQuery(asked) as Place);
  expect(text).toContain("hide=ok,only-expected");
  expect(queryOf(parsePlace(text).place)).toEqual(asked);
});

test("an address from elsewhere asks for nothing odd", () => {
  expect(queryOf({ hide: "ok,nonsense,", group: "colour", sort: "-beauty", fold: "!", q: 3 })).toEqual({
    ...START, hidden: new Set([0]), isDescending: true, isInverted: true, text: "3",
  });
});

test("groups close and open, also when all were closed at once", () => {
  const one = withGroup(START, "3", true);
  expect([isClosed(one, "3"), isClosed(one, "4")]).toEqual([true, false]);
  expect(withGroup(one, "3", true)).toBe(one);
  expect(withGroup(one, "3", false).folded.size).toBe(0);
  const none = { ...START, isInverted: true };
  expect(isClosed(none, "3")).toBe(true);
  const open = withGroup(none, "3", false);
  expect([isClosed(open, "3"), isClosed(open, "4")]).toEqual([false, true]);
});

test("clearing filters leaves order and groups", () => {
  const asked = queryOf({ q: "x", hide: "ok", dtype: "int8", sort: "-max", group: "stage" });
  expect(hasFilters(asked)).toBe(true);
  const cleared = withoutFilters(asked);
  expect(hasFilters(cleared)).toBe(false);
  expect([cleared.key, cleared.isDescending, cleared.grouping]).toEqual(["max", true, "stage"]);
});

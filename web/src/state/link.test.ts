import { expect, test } from "vitest";

import { parsePlace, placeText } from "./link";

test("the token is taken out, the rest is where one is", () => {
  expect(parsePlace("#token=a-b_c&row=12&at=0,3&q=w q%26k")).toEqual({ token: "a-b_c", place: { row: 12, at: "0,3", q: "w q&k" } });
});

test.each(["", "#", "#row=", "#row=-1", "#row=x", "#row=1e3", "#row=99999999999999999999"])("%s is no row", (fragment) => {
  expect(parsePlace(fragment)).toEqual({ token: null, place: {} });
});

test("a place survives the address", () => {
  for (const place of [{ row: 0 }, { row: 7, at: "1,2,3", q: "#?&=%+ü🦙", hide: "ok,inherited" }, { view: "open" }]) {
    const text = placeText(place);
    expect(parsePlace(text).place).toEqual(place);
    expect(placeText(parsePlace(text).place)).toBe(text);
  }
});

test("what is left open is left out, and indices stay readable", () => {
  expect(placeText({ row: 1, q: "", at: "0,1", dtype: undefined })).toBe("#row=1&at=0,1");
  expect(placeText({})).toBe("");
});

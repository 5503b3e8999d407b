import { expect, test } from "vitest";

import { namesLike } from "./names-like";

test("near names come first, each name once, and nothing for rows without one", () => {
  expect(namesLike(["b", null, "a", "b"], "", ["a", "gone"])).toEqual({ names: ["a", "b"], count: 2 });
});

test("the filter wants every word", () => {
  expect(namesLike(["0_query", "1_query", "1_key"], "1 QUE", ["0_query"]).names).toEqual(["1_query"]);
});

test("no more than can be looked through", () => {
  const many = Array.from({ length: 1000 }, (_, place) => `name ${place}`);
  const found = namesLike(many, "name", []);
  expect([found.names.length, found.count]).toEqual([100, 1000]);
});

import { expect, test } from "vitest";

import { someOf, titleAndRest } from "./verdict-words";

test("the sentence is told in two parts, without losing a letter", () => {
  expect(titleAndRest("They differ: 'a: b' is wrong.")).toEqual(["They differ:", "'a: b' is wrong."]);
  expect(titleAndRest("Nothing")).toEqual(["Nothing", ""]);
});

test("some of many, and how many more", () => {
  expect(someOf([1, 2, 3], 2)).toEqual({ shown: [1, 2, 3], more: 0 });
  expect(someOf([1, 2, 3, 4], 2)).toEqual({ shown: [1, 2], more: 2 });
  expect(someOf([], 2)).toEqual({ shown: [], more: 0 });
});

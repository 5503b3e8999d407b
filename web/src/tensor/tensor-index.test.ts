import { expect, test } from "vitest";

import { clampIndex, elementsOf, indexAt, indexText, parseIndex, placeInLine } from "./tensor-index";

test("a place in the line and its index are each other's inverse", () => {
  const shape = [2, 1, 3, 5];
  for (let position = 0; position < elementsOf(shape); position += 1) {
    expect(placeInLine(indexAt(position, shape), shape)).toBe(position);
  }
  expect(indexAt(29, shape)).toEqual([1, 0, 2, 4]);
  expect(elementsOf([])).toBe(1);
  expect(placeInLine([], [])).toBe(0);
  expect(indexAt(0, [0, 3])).toEqual([0, 0]);
});

test("an index is brought into the shape", () => {
  expect(clampIndex([9, -1, Number.NaN], [4, 3, 2, 7])).toEqual([3, 0, 0, 0]);
  expect(clampIndex([2], [0])).toEqual([0]);
  expect(clampIndex([1, 2], [])).toEqual([]);
});

test("an index is read as people type it", () => {
  expect(parseIndex("3, 0, 7", [4, 1, 8])).toEqual([3, 0, 7]);
  expect(parseIndex(" [1 2] ", [4, 4])).toEqual([1, 2]);
  expect(parseIndex("-1,-8", [4, 8])).toEqual([3, 0]);
  expect(parseIndex("", [])).toEqual([]);
});

test("what is no index is refused in words", () => {
  expect(parseIndex("1", [4, 8])).toMatch(/2 indices/);
  expect(parseIndex("4,0", [4, 8])).toMatch(/dim 0 goes from 0 to 3/);
  expect(parseIndex("a,0", [4, 8])).toMatch(/no whole number/);
  expect(parseIndex("1.5,0", [4, 8])).toMatch(/no whole number/);
  expect(parseIndex("0", [0])).toMatch(/empty/);
  expect(parseIndex("3", [])).toMatch(/no index/);
  expect(indexText([3, 0, 7])).toBe("3,0,7");
});

import { expect, test } from "vitest";

import { cut, firstDraft, made, parsePieces, pieceName, put, swap, unused } from "./dims-draft";

test("dims of equal size are set against each other", () => {
  expect(firstDraft([76, 8, 64], [1, 8, 76, 64])).toEqual({ pieces: [[76], [8], [64]], order: [[], [1], [0], [2]] });
  expect(firstDraft([2, 3, 4], [24]).order).toEqual([[0, 1, 2]]);
  expect(firstDraft([24], [2, 3, 4])).toEqual({ pieces: [[24]], order: [[], [], []] });
  expect(firstDraft([], [1]).order).toEqual([[]]);
  expect(made(firstDraft([0, 3], [3, 0]))).toEqual([3, 0]);
});

test("a dim that is cut gives its pieces to where it was", () => {
  const whole = firstDraft([76, 512], [1, 8, 76, 64]);
  const halves = cut(whole, 1, [8, 64]);
  expect(halves.pieces).toEqual([[76], [8, 64]]);
  expect(unused(halves)).toEqual([1, 2]);
  const placed = put(put(halves, 1, 1), 2, 3);
  expect(placed.order).toEqual([[], [1], [0], [2]]);
  expect(made(placed)).toEqual([1, 8, 76, 64]);
  expect(cut(placed, 1, [512]).order).toEqual([[], [], [0], []]);
  expect(cut(firstDraft([6, 5], [6, 5]), 0, [2, 3]).order).toEqual([[0, 1], [2]]);
});

test("pieces move, also within a dim", () => {
  const draft = firstDraft([2, 3], [6]);
  expect(draft.order).toEqual([[0, 1]]);
  expect(put(draft, 1, 0, 0).order).toEqual([[1, 0]]);
  expect(unused(put(draft, 1, null))).toEqual([1]);
  expect(unused({ pieces: [[1], [2]], order: [[1]] })).toEqual([]);
});

test("pieces change places with others, or with what is used nowhere", () => {
  const draft = { pieces: [[2], [3], [5]], order: [[0, 1], []] };
  expect(swap(draft, 0, 1).order).toEqual([[1, 0], []]);
  expect(swap(draft, 1, 2).order).toEqual([[0, 2], []]);
});

test.each([
  ["8 × 64", 512, [8, 64]],
  ["8x64", 512, [8, 64]],
  ["2 4,64", 512, [2, 4, 64]],
  ["512", 512, [512]],
  ["8 × 65", 512, null],
  ["", 512, null],
  ["a", 512, null],
  ["-8 × -64", 512, null],
])("%s of %d", (text, size, found) => {
  expect(parsePieces(text, size)).toEqual(found);
});

test("pieces have names", () => {
  expect([0, 1, 2].map((place) => pieceName([[76], [8, 64]], place))).toEqual(["dim 0", "dim 1.0", "dim 1.1"]);
});

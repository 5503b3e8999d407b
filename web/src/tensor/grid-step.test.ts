import { expect, test } from "vitest";

import type { Cut } from "../state/tensor-place";
import { gridStep, movedCut, turnedCut } from "./grid-step";

const size = { height: 4, width: 10 };

test("arrows go from cell to cell, and at an edge move the window", () => {
  expect(gridStep("ArrowRight", false, { row: 1, column: 2 }, size, false)).toEqual({ row: 1, column: 3, down: 0, right: 0 });
  expect(gridStep("ArrowRight", false, { row: 1, column: 9 }, size, false)).toEqual({ row: 1, column: 9, down: 0, right: 1 });
  expect(gridStep("ArrowLeft", false, { row: 1, column: 0 }, size, false)).toMatchObject({ right: -1 });
  expect(gridStep("ArrowUp", false, { row: 0, column: 0 }, size, false)).toMatchObject({ down: -1 });
  expect(gridStep("ArrowDown", false, { row: 1, column: 0 }, size, false)).toMatchObject({ row: 2, down: 0 });
  expect(gridStep("x", false, { row: 1, column: 0 }, size, false)).toBeNull();
});

test("a line stands upright: up and down go along it", () => {
  expect(gridStep("ArrowDown", false, { row: 0, column: 2 }, { height: 1, width: 10 }, true)).toMatchObject({ column: 3 });
  expect(gridStep("ArrowUp", false, { row: 0, column: 0 }, { height: 1, width: 10 }, true)).toMatchObject({ right: -1 });
  expect(gridStep("ArrowRight", false, { row: 0, column: 0 }, { height: 1, width: 10 }, true)).toBeNull();
  expect(gridStep("PageDown", false, { row: 0, column: 0 }, { height: 1, width: 10 }, true)).toMatchObject({ right: 10 });
});

test("the window stays within the tensor", () => {
  const cut: Cut = { at: [1, 5, 60], rows: 1, columns: 2, rank: 0, shape: [2, 8, 64] };
  expect(movedCut(cut, { mode: "plane" }, 10, 1)).toEqual([1, 7, 61]);
  expect(movedCut(cut, { mode: "plane" }, -Infinity, -Infinity)).toEqual([1, 0, 0]);
  expect(movedCut(cut, { mode: "line" }, 0, 10)).toEqual([1, 5, 63]);
  expect(movedCut(cut, { mode: "flat" }, 0, 10)).toEqual([1, 6, 6]);
  expect(movedCut(cut, { mode: "flat" }, 0, 9999)).toEqual([1, 7, 63]);
});

test("pages end with the one that shows the last number", () => {
  const cut: Cut = { at: [0, 10], rows: 0, columns: 1, rank: 0, shape: [4, 25] };
  expect(turnedCut(cut, { mode: "plane", count: 10 }, 0, 1)).toEqual([0, 20]);
  expect(turnedCut({ ...cut, at: [0, 20] }, { mode: "plane", count: 10 }, 0, 1)).toEqual([0, 20]);
  expect(turnedCut(cut, { mode: "plane", count: 10 }, 1, 0)).toEqual([0, 10]);
  expect(turnedCut({ ...cut, at: [0, 3] }, { mode: "line", count: 10 }, 0, -1)).toEqual([0, 0]);
  expect(turnedCut({ ...cut, at: [3, 20] }, { mode: "flat", count: 10 }, 0, 1)).toEqual([3, 20]);
  expect(turnedCut({ ...cut, at: [2, 20] }, { mode: "flat", count: 10 }, 0, 1)).toEqual([3, 5]);
});

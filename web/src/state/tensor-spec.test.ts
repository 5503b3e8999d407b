import { expect, test } from "vitest";

import type { Cut } from "./tensor-place";
import { indexInPlane, placeInPlane, planeOf, valuesSpec } from "./tensor-spec";

const cut = (at: number[], shape: number[], rows: number | null, columns: number | null): Cut => ({ at, shape, rows, columns, rank: 0 });

test("the numbers begin at the index where one is, however they are shown", () => {
  const here = cut([1, 2, 3], [4, 5, 60], 1, 2);
  expect(valuesSpec(here, "line", 10)).toMatchObject({ fixed: [1, 2, 3], rows: null, columns: 2, column0: 3, width: 10, height: 1 });
  expect(valuesSpec(here, "plane", 10)).toMatchObject({ rows: 1, columns: 2, row0: 2, column0: 3, height: 10, width: 10 });
  expect(valuesSpec(here, "flat", 10)).toMatchObject({ flat: true, column0: 1 * 300 + 2 * 60 + 3, width: 10 });
  expect(valuesSpec(cut([], [], null, null), "line", 10)).toMatchObject({ fixed: [], columns: null });
});

test("heat maps of lines are folded, cut at the last dim where it allows", () => {
  expect(planeOf(cut([0, 0], [76, 64], 0, 1), "line")).toEqual({ rows: 76, columns: 64, fold: 0 });
  expect(planeOf(cut([0], [50], null, 0), "line")).toEqual({ rows: 1, columns: 50, fold: 50 });
  expect(planeOf(cut([0], [5000], null, 0), "line")).toEqual({ rows: 40, columns: 128, fold: 128 });
  expect(planeOf(cut([0, 0], [76, 64], 0, 1), "flat")).toEqual({ rows: 76, columns: 64, fold: 64 });
  expect(planeOf(cut([0, 0], [0, 64], 0, 1), "flat")).toMatchObject({ rows: 0, columns: 0 });
  expect(planeOf(cut([], [], null, null), "line")).toMatchObject({ rows: 1, columns: 1 });
});

test("a cell of the heat map and its index are each other's inverse", () => {
  const cases: [Cut, "line" | "plane" | "flat"][] = [
    [cut([1, 0, 0], [2, 7, 9], 2, 1), "plane"],
    [cut([0], [5000], null, 0), "line"],
    [cut([0, 0, 0], [2, 7, 9], 1, 2), "flat"],
  ];
  for (const [here, mode] of cases) {
    const index = indexInPlane(here, mode, 1, 5);
    expect(index).not.toBeNull();
    expect(placeInPlane(here, mode, index ?? [])).toEqual({ row: 1, column: 5 });
  }
  expect(indexInPlane(cut([0], [5000], null, 0), "line", 39, 127)).toBeNull();
});

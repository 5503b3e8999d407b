import { expect, test } from "vitest";

import type { Measures } from "../api/types";
import type { Look } from "../state/tensor-place";
import type { Tile, Tiles } from "../state/tensor-tiles";
import { extremeOf, rangesOf } from "./heat-range";

function tile(values: number[], width: number, minimum: number | null, maximum: number | null, missing = 0): Tile {
  const height = values.length / width;
  const head = { height, width, rows_per_pixel: 2, columns_per_pixel: 3, missing, minimum, maximum, nan: 0, inf: 0 };
  return { head, values: new Float32Array(values), part: { row0: 10, column0: 20, height: height * 2, width: width * 3 } };
}

const found = {
  expected: tile([-1, 2], 2, -1, 2), actual: tile([0, 5], 2, 0, 5), difference: tile([3, 4], 2, 3, 4),
} as unknown as Tiles;
const look = (scale: Partial<Look["scale"]>) => ({ scale: { isShared: true, isLog: false, isWhole: false, ...scale } }) as Look;
const side = { mean: 0, std: 0, minimum: -9, maximum: 8, nan: 0, inf: 0, first_nan: null };
const measures = { expected: side, actual: { ...side, maximum: "inf" }, max_abs: 7 } as unknown as Measures;

test("both sides share a scale unless each is to have its own", () => {
  expect(rangesOf(look({}), found, null).expected).toEqual({ low: -1, high: 5 });
  expect(rangesOf(look({}), found, null).actual).toEqual({ low: -1, high: 5 });
  expect(rangesOf(look({ isShared: false }), found, null).expected).toEqual({ low: -1, high: 2 });
});

test("no difference is always at the end of the scale", () => {
  expect(rangesOf(look({}), found, null).difference).toEqual({ low: 0, high: 4 });
});

test("the scale of the whole tensor comes from its measures, as far as they are finite", () => {
  expect(rangesOf(look({ isWhole: true, isShared: false }), found, measures)).toEqual({
    expected: { low: -9, high: 8 }, actual: { low: -9, high: 0 }, difference: { low: 0, high: 7 },
  });
});

test("the largest is told in cells, and what is no number comes first", () => {
  expect(extremeOf(tile([1, -7, 3, 2], 2, -7, 3))).toEqual({ row: 10, column: 23, value: -7 });
  expect(extremeOf(tile([1, -7, NaN, Infinity], 2, -7, 1))).toMatchObject({ row: 12, column: 20 });
  expect(extremeOf(tile([1, 2, 3, NaN], 2, 1, 3, 1))).toMatchObject({ value: 3 });
});

import { expect, test } from "vitest";

import type { Cells, Values } from "../api/types";
import { allCells, cellAt, sizeOf } from "./window-cells";

function cells(height: number, width: number, texts: (string | null)[]): Cells {
  return {
    height, width, rows: height, columns: width, shape: [height, width], stored_shape: [height, width], dtype: "float32",
    index: texts.map((_, place) => `${Math.floor(place / width)},${place % width}`), rank: null, summands: 1, text: texts,
    value: texts.map((text) => (text === null ? null : Number(text))),
  };
}

const values: Values = {
  expected: cells(2, 3, ["0", "1", "2", "3", "4", "5"]),
  actual: cells(2, 2, ["0", "7", "5", null]),
  difference: [0, 6, 2, null],
  difference_text: ["0.0", "6.0", "2.0", null],
  ulp: [0, "9007199254740993", 4, null],
  differs: [false, true, false, false],
};

test("sides of different widths meet at the same place of the window", () => {
  expect(sizeOf(values)).toEqual({ height: 2, width: 3 });
  expect(cellAt(values, 0, 1)).toMatchObject({ difference: { text: "6.0" }, ulp: "9007199254740993", differs: true, isApart: true });
  expect(cellAt(values, 1, 0)).toMatchObject({ expected: { text: "3", index: "1,0" }, actual: { text: "5" }, difference: { text: "2.0" }, ulp: "4", differs: false, isApart: true });
});

test("where a side has no number there is no difference", () => {
  expect(cellAt(values, 0, 2)).toMatchObject({ actual: null, difference: null, ulp: null, differs: false });
  expect(cellAt(values, 1, 1)).toMatchObject({ expected: { text: "4" }, actual: null, difference: null });
  expect(cellAt({ ...values, actual: null }, 0, 0)).toMatchObject({ expected: { text: "0" }, actual: null });
  expect(allCells(values).map((row) => row.length)).toEqual([3, 3]);
});

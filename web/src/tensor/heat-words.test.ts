import { expect, test } from "vitest";

import type { Tile } from "../state/tensor-tiles";
import { cellText, labelOf, pixelText } from "./heat-words";

const tile: Tile = {
  head: { height: 2, width: 2, rows_per_pixel: 3, columns_per_pixel: 4, missing: 0, minimum: -2, maximum: 0.5, nan: 1, inf: 0 },
  values: new Float32Array([0.5, -2, 0, NaN]),
  part: { row0: 6, column0: 8, height: 6, width: 8 },
};

test("a picture says its range, its extreme and what is no number", () => {
  expect(labelOf("expected", { rows: 12, columns: 16 }, tile, [6, 12], false)).toBe(
    "Heat map of expected, 12 rows, 16 columns, from -2 to 0.5, largest magnitude at 6, 12, has NaN",
  );
  expect(labelOf("difference", { rows: 1, columns: 1 }, null, null, true)).toMatch(/the difference.*being read/);
  expect(labelOf("actual", { rows: 1, columns: 1 }, null, null, false)).toMatch(/not drawn/);
});

test("a pixel that stands for several numbers says for which of them", () => {
  expect(pixelText(tile, 7, 13)).toBe("the pixel: largest of 3 × 4, -2");
  expect(pixelText(tile, 11, 15)).toBe("the pixel: largest of 3 × 4, NaN");
  expect(pixelText({ ...tile, head: { ...tile.head, rows_per_pixel: 1, columns_per_pixel: 1 } }, 6, 8)).toBeNull();
});

test("the numbers under the crosshair are told", () => {
  const side = (text: string, index: string) => ({ text, value: 0, index, rank: null });
  const cell = {
    row: 0, column: 0, expected: side("0.5", "0,1,2"), actual: side("nan", "1,2"), difference: null, ulp: null, differs: true,
    isApart: true,
  };
  expect(cellText(cell)).toBe("expected 0, 1, 2: 0.5; actual 1, 2: nan; differs");
  expect(cellText({ ...cell, actual: null, differs: false })).toBe("expected 0, 1, 2: 0.5");
});

import { expect, test } from "vitest";

import { cellIn, windowsAround } from "./tensor-around";
import type { Cut } from "./tensor-place";

const cut = (at: number[], shape: number[], rows: number | null, columns: number | null): Cut => ({ at, shape, rows, columns, rank: 0 });

test("a window that shows it already stays", () => {
  const target = { cut: cut([2, 0, 5], [4, 20, 64], 1, 2), index: [2, 3, 9] };
  expect(windowsAround([target], "plane", 10)).toEqual({ at: [[2, 0, 5]], row: 3, column: 4 });
  expect(cellIn(target, "line", 10)).toBeNull();
});

test("else it moves, showing a few numbers before", () => {
  const target = { cut: cut([0, 0, 0], [4, 20, 64], 1, 2), index: [2, 10, 40] };
  expect(windowsAround([target], "plane", 10)).toEqual({ at: [[2, 7, 37]], row: 3, column: 3 });
  expect(windowsAround([target], "line", 10)).toEqual({ at: [[2, 10, 37]], row: 0, column: 3 });
});

test("at the end of a dim the window is still full", () => {
  const target = { cut: cut([0, 0], [4, 64], 0, 1), index: [1, 63] };
  expect(windowsAround([target], "line", 10)).toEqual({ at: [[1, 54]], row: 0, column: 9 });
  expect(windowsAround([{ ...target, index: [1, 1] }], "line", 10)).toEqual({ at: [[1, 0]], row: 0, column: 1 });
});

test("flattened windows begin anywhere", () => {
  const target = { cut: cut([0, 0], [4, 5], 0, 1), index: [1, 1] };
  expect(windowsAround([target], "flat", 10)).toEqual({ at: [[0, 0]], row: 0, column: 6 });
  expect(windowsAround([{ ...target, index: [3, 1] }], "flat", 10)).toEqual({ at: [[2, 0]], row: 0, column: 6 });
});

test("both sides show it at the same place of their windows", () => {
  const one = { cut: cut([0, 0, 0, 0], [1, 8, 76, 64], 2, 3), index: [0, 2, 1, 40] };
  const other = { cut: cut([0, 0, 0], [76, 8, 64], 0, 2), index: [1, 2, 40] };
  const found = windowsAround([one, other], "plane", 10);
  expect(found).toEqual({ at: [[0, 2, 0, 37], [0, 2, 37]], row: 1, column: 3 });
  expect(cellIn({ ...one, cut: { ...one.cut, at: found.at[0] ?? [] } }, "plane", 10)).toEqual({ row: 1, column: 3 });
  const moved = { ...other, cut: { ...other.cut, at: [0, 2, 35] } };
  expect(windowsAround([{ ...one, cut: { ...one.cut, at: [0, 2, 0, 37] } }, moved], "plane", 10).at).toEqual([[0, 2, 0, 37], [0, 2, 37]]);
});

test("a single number is always there", () => {
  expect(windowsAround([{ cut: cut([], [], null, null), index: [] }], "line", 10)).toEqual({ at: [[]], row: 0, column: 0 });
});

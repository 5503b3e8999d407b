import { expect, test } from "vitest";

import type { Cells } from "../api/types";
import type { Cut } from "../state/tensor-place";
import { listText, numberText, tensorText } from "./python-text";
import { expressionOf } from "./window-text";

function cells(height: number, width: number, dtype: string, text: (string | null)[], shape = [height, width]): Cells {
  return {
    height, width, rows: height, columns: width, shape, stored_shape: shape, dtype, index: [], rank: null, summands: 1, text,
    value: [],
  };
}

test("numbers that Python has no literal for get one", () => {
  expect(numberText("nan")).toBe('float("nan")');
  expect(numberText("-inf")).toBe('float("-inf")');
  expect(numberText("9007199254740993")).toBe("9007199254740993");
  expect(numberText("(1+2j)")).toBe("(1+2j)");
  expect(numberText("(nan+infj)")).toBe('complex("nan+infj")');
  expect(numberText("True")).toBe("True");
});

test("a window becomes a list, a list of lists, or a number", () => {
  expect(listText(cells(1, 3, "float32", ["0.5", "nan", "2.0"]))).toBe('[0.5, float("nan"), 2.0]');
  expect(listText(cells(2, 2, "int64", ["1", "2", "3", "4"]))).toBe("[\n    [1, 2],\n    [3, 4],\n]");
  expect(listText(cells(1, 1, "float32", ["0.5"], []))).toBe("0.5");
});

test("a tensor keeps its dtype", () => {
  expect(tensorText(cells(1, 1, "bfloat16", ["1.5"], [1]))).toBe("torch.tensor([1.5], dtype=torch.bfloat16)");
  expect(tensorText(cells(1, 1, "float8_e4m3fn", ["1.5"], [1]))).toBe("torch.tensor([1.5]).to(torch.float8_e4m3fn)");
});

test("the window as an expression", () => {
  const cut: Cut = { at: [3, 5, 60], rows: 1, columns: 2, rank: 0, shape: [8, 76, 64] };
  expect(expressionOf(cut, "plane", 10)).toBe("[3, 5:15, 60:64]");
  expect(expressionOf({ ...cut, rows: 2, columns: 1 }, "plane", 10)).toBe("[3, 5:15, 60:64].mT");
  expect(expressionOf(cut, "line", 10)).toBe("[3, 5, 60:64]");
  expect(expressionOf({ ...cut, at: [0, 1, 2] }, "flat", 10)).toBe(".flatten()[66:76]");
  expect(expressionOf({ ...cut, shape: [], at: [], rows: null, columns: null }, "line", 10)).toBe("[()]");
});

import { expect, test } from "vitest";

import type { LayoutStep } from "../api/types";
import { pictureOf, pictureWords } from "./layout-picture";

const step = (side: "expected" | "actual", name: string, shape: number[], dims: number[][]): LayoutStep => ({ side, name, shape, dims });

const FLAGSHIP = [
  step("actual", "", [76, 8, 64], [[], [], []]),
  step("actual", "permute(1, 0, 2)", [8, 76, 64], [[1], [0], [2]]),
  step("actual", "unsqueeze(0)", [1, 8, 76, 64], [[], [0], [1], [2]]),
  step("expected", "", [1, 8, 76, 64], [[], [], [], []]),
];

test("every dim is a box and every way of a dim a line", () => {
  const picture = pictureOf(FLAGSHIP);
  expect(picture.boxes.map((box) => box.text)).toEqual(["76", "8", "64", "8", "76", "64", "1", "8", "76", "64", "1", "8", "76", "64"]);
  expect(picture.lines.map((line) => line.origin)).toEqual([1, 0, 2, 1, 0, 2, -1, 1, 0, 2]);
  expect(picture.rows.map((row) => row.words)).toEqual(["actual", "permute(1, 0, 2)", "unsqueeze(0)", "expected"]);
  for (const line of picture.lines) expect(line.y2).toBeGreaterThan(line.y1);
  for (const box of picture.boxes) {
    expect(box.x + box.width).toBeLessThanOrEqual(picture.width);
    expect(box.y + box.height).toBeLessThanOrEqual(picture.height);
  }
});

test("the expected side is laid out from below", () => {
  const picture = pictureOf([
    step("actual", "2 ranks", [4, 4], [[], []]),
    step("actual", "concatenate(1)", [4, 8], [[0], [1]]),
    step("expected", "", [12, 8], [[], []]),
    step("expected", "part(0, 0, 4)", [4, 8], [[0], [1]]),
  ]);
  expect(picture.rows.map((row) => row.words)).toEqual(["actual, each of 2 ranks", "concatenate(1)", "part(0, 0, 4)", "expected"]);
  expect(picture.lines).toHaveLength(6);
  for (const line of picture.lines) expect(line.y2).toBeGreaterThan(line.y1);
});

test("scalars have no boxes", () => {
  const picture = pictureOf([step("actual", "", [], []), step("expected", "", [], [])]);
  expect(picture.boxes).toEqual([]);
  expect(picture.lines).toEqual([]);
});

test("the picture has words", () => {
  expect(pictureWords(FLAGSHIP)).toBe(
    "actual [76, 8, 64], then permute(1, 0, 2) [8, 76, 64], then unsqueeze(0) [1, 8, 76, 64], then expected [1, 8, 76, 64]",
  );
});

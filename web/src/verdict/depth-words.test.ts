import { expect, test } from "vitest";

import { madeRows } from "../list/rows-made";
import { depthPoints } from "./depth-points";
import { pointAfterKey } from "./depth-keys";
import { chartLabel, chartMarks, pointLabel, shortName } from "./depth-words";

const ROWS = madeRows(["a", "b", "c"], { status: [0, 1, 3], error: [0, 0.25, 1e-7], order: [0, 1, 2] });
const POINTS = depthPoints(ROWS);

test("the chart says where the runs begin to differ", () => {
  expect(chartLabel(ROWS, POINTS, 1, null)).toBe(
    "Relative error of 3 tensors in order of execution: they begin to differ at b, tensor 2 of 3 (relative error 0.25)",
  );
  expect(chartLabel(ROWS, POINTS, 1, 2)).toContain("; it is gone from c, tensor 3 of 3 on");
  expect(chartLabel(ROWS, POINTS, null, null)).toContain("none of them begins to differ");
  const nothing = madeRows([]);
  expect(chartLabel(nothing, depthPoints(nothing), null, null)).toContain("nothing could be compared");
});

test("a point says its name, status and error", () => {
  expect(pointLabel(ROWS, 1)).toBe("b, differs, relative error 0.25");
});

test("the first divergence and the healing have marks", () => {
  expect(chartMarks(ROWS, POINTS, { first: 1, healed: 2 })).toEqual([
    { point: 1, status: 1, text: "first: b" },
    { point: 2, status: 3, text: "healed: c" },
  ]);
  expect(chartMarks(ROWS, POINTS, null)).toEqual([]);
});

test("long names lose their middle", () => {
  expect(shortName("abcdefgh", 8)).toBe("abcdefgh");
  expect(shortName("abcdefghi", 8)).toBe("abc…fghi");
  expect([...shortName("😀".repeat(50), 9)].length).toBe(9);
});

test("keys walk from point to point", () => {
  const span = { from: 10, to: 29 };
  expect(pointAfterKey("ArrowRight", -1, span, 100)).toBe(10);
  expect(pointAfterKey("End", -1, span, 100)).toBe(29);
  expect(pointAfterKey("ArrowRight", 29, span, 100)).toBe(30);
  expect(pointAfterKey("ArrowLeft", 0, span, 100)).toBe(0);
  expect(pointAfterKey("PageDown", 98, span, 100)).toBe(99);
  expect(pointAfterKey("PageUp", 20, span, 100)).toBe(18);
  expect(pointAfterKey("x", 20, span, 100)).toBe(null);
  expect(pointAfterKey("Home", 3, span, 0)).toBe(null);
});

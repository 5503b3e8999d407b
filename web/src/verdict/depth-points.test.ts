import { expect, test } from "vitest";

import { madeRows, randomRows } from "../list/rows-made";
import { depthPoints, EQUAL, NO_NUMBER, NUMBER } from "./depth-points";

test("points stand in order of execution, whatever the order of the rows", () => {
  const rows = madeRows(["c", "lone", "a", "b"], { order: [2, null, 0, 1], error: [1e-3, null, 0, "nan"], status: [1, 4, 0, 2] });
  const points = depthPoints(rows);
  expect([...points.rows]).toEqual([2, 3, 0]);
  expect([...points.places]).toEqual([2, -1, 0, 1]);
  expect([...points.lanes]).toEqual([EQUAL, NO_NUMBER, NUMBER]);
  expect([...points.status]).toEqual([0, 2, 1]);
  expect(points.exponents[2]).toBeCloseTo(-3);
});

test("what has no number says which kind it is", () => {
  const kind = (...error: ("nan" | "inf" | null | number)[]) => depthPoints(madeRows(error.map(String), { error })).noNumber;
  expect(kind(1, 0)).toBe(null);
  expect(kind("nan", 1)).toBe("NaN, Inf");
  expect(kind(null)).toBe("unmeasured");
  expect(kind(null, "inf")).toBe("no number");
});

test("all numbers lie between the exponents, which are never the same", () => {
  for (const error of [[1e-6], [1], [1e-320], [1e300, 1e-300], [0], [], [3, 3.1]]) {
    const points = depthPoints(madeRows(error.map(String), { error }));
    expect(points.high).toBeGreaterThan(points.low);
    points.lanes.forEach((lane, point) => {
      if (lane !== NUMBER) return;
      expect(points.exponents[point]).toBeGreaterThanOrEqual(points.low);
      expect(points.exponents[point]).toBeLessThanOrEqual(points.high);
    });
  }
});

test("neighbours of one layer are a band", () => {
  const rows = madeRows([..."abcdefg"], { layer: [null, 0, 0, 1, null, 1, 0] });
  expect(depthPoints(rows).bands).toEqual([
    { layer: 0, from: 1, to: 2 },
    { layer: 1, from: 3, to: 3 },
    { layer: 1, from: 5, to: 5 },
    { layer: 0, from: 6, to: 6 },
  ]);
});

test("every pair is one point, and bands hold only their layer", () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const rows = randomRows(seed * 4, seed);
    const points = depthPoints(rows);
    points.rows.forEach((row, point) => expect(points.places[row]).toBe(point));
    for (const band of points.bands) {
      for (let point = band.from; point <= band.to; point += 1) expect(rows.layer[points.rows[point]!]).toBe(band.layer);
    }
  }
});

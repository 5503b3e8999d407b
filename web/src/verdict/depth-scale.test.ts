import { expect, test } from "vitest";

import { madeRows, seeded } from "../list/rows-made";
import { depthPoints } from "./depth-points";
import {
  clampSpan, nearestPoint, parseSpan, pointAt, pointX, pointY, spanText, spanWith, wholeSpan, zoomSpan, type Plot,
} from "./depth-scale";

const PLOT: Plot = { left: 60, top: 20, width: 800, height: 200, lane: 20 };
const made = (error: (number | "nan" | null)[]) => depthPoints(madeRows(error.map(String), { error }));

test("a span comes back from the address, and one that does not fit is cut", () => {
  const points = made(Array.from({ length: 100 }, () => 1));
  expect(spanText(wholeSpan(points), points)).toBe(undefined);
  expect(spanText({ from: 3, to: 50 }, points)).toBe("3-50");
  expect(parseSpan("3-50", points)).toEqual({ from: 3, to: 50 });
  expect(parseSpan("50-9999", points)).toEqual({ from: 50, to: 99 });
  expect(parseSpan("9-3", points)).toEqual({ from: 3, to: 9 });
  for (const odd of ["", "x", "1-", "-3-4", undefined, 7]) expect(parseSpan(odd, points)).toEqual({ from: 0, to: 99 });
  expect(parseSpan("0-5", made([]))).toEqual({ from: 0, to: 0 });
});

test("a place leads back to its point", () => {
  const span = { from: 7, to: 31 };
  for (let point = 7; point <= 31; point += 1) expect(pointAt(pointX(point, span, PLOT), span, PLOT)).toBeCloseTo(point);
});

test("equal pairs lie below every number, those without a number above", () => {
  const points = made([0, 1e-8, 1, "nan"]);
  const [equal, small, large, none] = [0, 1, 2, 3].map((point) => pointY(point, points, PLOT)) as [number, number, number, number];
  expect(equal).toBeGreaterThan(small);
  expect(small).toBeGreaterThan(large);
  expect(large).toBeGreaterThan(none);
  for (const y of [equal, small, large, none]) expect(y >= PLOT.top && y <= PLOT.top + PLOT.height).toBe(true);
});

test("zooming keeps the place where one is, within the points", () => {
  const span = zoomSpan({ from: 0, to: 999 }, 250, 0.5, 1000);
  expect(span.to - span.from).toBeCloseTo(500, -1);
  expect((250 - span.from) / (span.to - span.from)).toBeCloseTo(0.25, 1);
  expect(zoomSpan({ from: 0, to: 10 }, 10, 9, 11)).toEqual({ from: 0, to: 10 });
  for (let seed = 0; seed < 200; seed += 1) {
    const random = seeded(seed);
    const count = 1 + Math.floor(random() * 50);
    const from = clampSpan({ from: random() * 60 - 5, to: random() * 60 - 5 }, count);
    const to = zoomSpan(from, from.from + random() * (from.to - from.from), random() * 3, count);
    expect(0 <= to.from && to.from <= to.to && to.to <= count - 1, JSON.stringify([seed, count, from, to])).toBe(true);
  }
});

test("a point out of the span is brought into it without changing its width", () => {
  expect(spanWith({ from: 10, to: 20 }, 15, 100)).toEqual({ from: 10, to: 20 });
  expect(spanWith({ from: 10, to: 20 }, 50, 100)).toEqual({ from: 45, to: 55 });
  expect(spanWith({ from: 10, to: 20 }, 99, 100)).toEqual({ from: 89, to: 99 });
  expect(spanWith({ from: 10, to: 20 }, 0, 100)).toEqual({ from: 0, to: 10 });
});

test("the nearest point is found, by its height where many stand close", () => {
  const few = made([1e-6, 1, 1e-6]);
  const span = wholeSpan(few);
  expect(nearestPoint(0, 0, few, span, PLOT)).toBe(0);
  expect(nearestPoint(5000, 0, few, span, PLOT)).toBe(2);
  expect(nearestPoint(pointX(1, span, PLOT) + 100, 100, few, span, PLOT)).toBe(1);
  const many = made(Array.from({ length: 80_000 }, (_, point) => (point === 40_003 ? 1 : 1e-6)));
  const all = wholeSpan(many);
  const x = pointX(40_000, all, PLOT);
  expect(nearestPoint(x, pointY(40_003, many, PLOT), many, all, PLOT)).toBe(40_003);
  expect(nearestPoint(1, 1, made([]), { from: 0, to: 0 }, PLOT)).toBe(-1);
});

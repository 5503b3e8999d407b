import { expect, test } from "vitest";

import type { Figure } from "../api/types";
import { figureValue, naturalKey, rowOrder, type SortKey } from "./row-order";
import { madeRows, randomRows } from "./rows-made";

const byError = (error: Figure[], isDescending: boolean): number[] => [
  ...rowOrder(madeRows(error.map(String), { error }), "error", isDescending),
];

test("the order of the server, and the other way round", () => {
  const rows = madeRows(["b", "a", "c"]);
  expect([...rowOrder(rows, "order", false)]).toEqual([0, 1, 2]);
  expect([...rowOrder(rows, "order", true)]).toEqual([2, 1, 0]);
});

test("NaN is the largest error, then infinity; rows without a figure come last either way", () => {
  const error: Figure[] = [null, 1, "nan", 0, "inf", null, 1e-30, "-inf", -2];
  expect(byError(error, true)).toEqual([2, 4, 1, 6, 3, 8, 7, 0, 5]);
  expect(byError(error, false)).toEqual([7, 8, 3, 6, 1, 4, 2, 0, 5]);
});

test("equal errors stay in order in both directions", () => {
  expect(byError([1, 0, 1, 0, 1], true)).toEqual([0, 2, 4, 1, 3]);
  expect(byError([1, 0, 1, 0, 1], false)).toEqual([1, 3, 0, 2, 4]);
});

test("numbers in names count as numbers", () => {
  const rows = madeRows(["l.10.a", "l.9.b", "L.9.a", "l.09.c", "k"]);
  expect([...rowOrder(rows, "name", false)]).toEqual([4, 2, 1, 3, 0]);
  expect(naturalKey("x007") < naturalKey("x10")).toBe(true);
  expect(naturalKey("x0") < naturalKey("x00a")).toBe(true);
});

test("every order is a permutation, sorted as its figures are", () => {
  for (let seed = 0; seed < 60; seed += 1) {
    const rows = randomRows(seed * 3, seed);
    for (const key of ["order", "name", "error", "max"] as SortKey[]) {
      for (const isDescending of [false, true]) {
        const order = [...rowOrder(rows, key, isDescending)];
        expect([...order].sort((one, other) => one - other)).toEqual(rows.expected.map((_, row) => row));
        if (key !== "error") continue;
        const values = order.map((row) => rows.error[row] ?? null).filter((error) => error !== null);
        const ranks = values.map((error) => (error === "nan" ? Number.MAX_VALUE : Math.min(figureValue(error), 1e300)));
        for (let at = 1; at < ranks.length; at += 1) {
          const step = ranks[at]! - ranks[at - 1]!;
          expect(isDescending ? step <= 0 : step >= 0).toBe(true);
        }
      }
    }
  }
});

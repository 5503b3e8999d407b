import { expect, test } from "vitest";

import type { Detail, SideDetail } from "../api/types";
import { parsePlace, placeText } from "./link";
import { cutChanges, dimsOf, lookAt, scaleText } from "./tensor-place";

const side = (shape: number[], rank = 0): SideDetail => ({
  name: "x", dtype: "float32", shape, rank, elements: 1, bytes: 4, kind: "tensor",
});
const layout = { text: "identity", is_identity: true } as Detail["layout"];

function detail(expected: number[] | null, actual: number[][], changes: Partial<Detail> = {}): Detail {
  return {
    row: 3, expected: expected && side(expected), actual: actual.map(side), status: "ok", reason: "", stage: null, layer: null,
    matched_by: null, note: null, layout: expected && actual.length > 0 ? layout : null, near: [],
    shape: expected ?? actual[0] ?? [], measures: null, ...changes,
  } as Detail;
}

test("without anything said, the last two dims that hold something are shown, a line of ten", () => {
  const look = lookAt({ row: 3 }, detail([1, 8, 76, 64], [[76, 8, 64]]));
  expect(look).toMatchObject({ view: "aligned", mode: "line", count: 10, actual: null, difference: true, zoom: null });
  expect(look.expected).toMatchObject({ at: [0, 0, 0, 0], rows: 2, columns: 3, shape: [1, 8, 76, 64] });
});

test("short lines are filled up from the flattened tensor", () => {
  expect(lookAt({}, detail([8, 4], [[8, 4]])).mode).toBe("flat");
  expect(lookAt({}, detail([4], [[4]])).mode).toBe("line");
  expect(lookAt({}, detail([], [[]])).mode).toBe("line");
  expect(lookAt({ mode: "plane" }, detail([7], [[7]])).mode).toBe("line");
});

test("rows and columns are chosen among all shapes", () => {
  expect(dimsOf(null, null, [])).toEqual([null, null]);
  expect(dimsOf(null, null, [5])).toEqual([null, 0]);
  expect(dimsOf(null, null, [1, 64])).toEqual([0, 1]);
  expect(dimsOf(null, null, [64, 1])).toEqual([1, 0]);
  expect(dimsOf(null, null, [1, 1])).toEqual([0, 1]);
  expect(dimsOf(null, null, [2, 1, 3, 1])).toEqual([0, 2]);
  expect(dimsOf(2, 0, [4, 5, 6])).toEqual([2, 0]);
  expect(dimsOf(1, 1, [4, 5, 6])).toEqual([0, 1]);
  expect(dimsOf(9, 0, [4, 5, 6])).toEqual([2, 0]);
});

test("what does not fit the tensor is brought into it", () => {
  const look = lookAt({ at: "99,-3,x,2", rows: "7", columns: "1", count: "9999", zoom: "a,1,2,3" }, detail([4, 5, 6], [[4, 5, 6]]));
  expect(look.expected).toMatchObject({ at: [3, 0, 0], rows: 0, columns: 1 });
  expect(look.count).toBe(1000);
  expect(look.zoom).toBeNull();
});

test("each side can be looked at by itself", () => {
  const place = { dims: "own", at: "0,2,0,0", "actual-at": "5,2,0", "actual-rows": "0", "actual-columns": "2", "actual-rank": "7" };
  const look = lookAt(place, detail([1, 8, 76, 64], [[76, 8, 64], [76, 8, 32]]));
  expect(look.view).toBe("own");
  expect(look.expected?.at).toEqual([0, 2, 0, 0]);
  expect(look.actual).toMatchObject({ at: [5, 2, 0], rows: 0, columns: 2, rank: 1, shape: [76, 8, 32] });
});

test("what cannot be aligned is looked at by itself, and a lone side has the plain names", () => {
  const apart = lookAt({}, detail([5, 7], [[3, 11]], { layout: null }));
  expect(apart).toMatchObject({ view: "own", canAlign: false });
  expect(apart.actual?.shape).toEqual([3, 11]);
  const lone = lookAt({ at: "1,2" }, detail(null, [[3, 11]]));
  expect(lone.expected).toBeNull();
  expect(lone.actual?.at).toEqual([1, 2]);
  expect(cutChanges("actual", true, { at: [1, 2] })).toEqual({ at: "1,2" });
  expect(cutChanges("actual", false, { at: [0, 2], rank: 1 })).toEqual({ "actual-at": "0,2", "actual-rank": 1 });
});

test("a view survives the address", () => {
  const place = { row: 3, at: "0,2,5,0", rows: 1, columns: 3, mode: "plane", dims: "own", scale: "log", count: 25, zoom: "1.5,2,10,10" };
  const again = parsePlace(placeText(place)).place;
  const whole = detail([1, 8, 76, 64], [[76, 8, 64]]);
  expect(lookAt(again, whole)).toEqual(lookAt(place, whole));
  expect(scaleText({ isShared: false, isLog: true, isWhole: false })).toBe("own,log");
  expect(scaleText({ isShared: true, isLog: false, isWhole: false })).toBeUndefined();
});

import { expect, test } from "vitest";

import { halves, shortLabels } from "./middle";

test("short names stay whole", () => {
  expect(halves("run_a.zip")).toEqual(["run_a.zip", ""]);
});

test("the end of long ones is kept", () => {
  const name = "a-very-long-name-of-a-run-with-a-date-2026-11-20.tar.gz";
  const [start, end] = halves(name);
  expect(start + end).toBe(name);
  expect(end).toBe("-11-20.tar.gz".padStart(14, "6"));
});

test("no letter of two halves is cut", () => {
  const name = "🦙".repeat(30);
  expect(halves(name).join("")).toBe(name);
  expect(halves(name)[1]).toBe("🦙".repeat(14));
});

test.each([
  [["/a/b/right", "/a/b/wrong"], ["right", "wrong"]],
  [["/a/x/dump", "/a/y/dump"], ["x/dump", "y/dump"]],
  [["/a/b", "/a/b"], ["b", "b"]],
  [["e.zip", "a.zip"], ["e.zip", "a.zip"]],
  [["/a", "/a/b"], ["a", "a/b"]],
  [["one"], ["one"]],
])("of %j the folders of all are left out", (labels, short) => {
  expect(shortLabels(labels)).toEqual(short);
});

import { expect, test } from "vitest";

import { halves } from "./middle";

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

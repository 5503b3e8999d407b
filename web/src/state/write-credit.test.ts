import { expect, test } from "vitest";

import { WriteCredit } from "./write-credit";

test("some writes go at once, then one after each rest", () => {
  const credit = new WriteCredit(3, 100);
  expect([0, 1, 2, 3].map((now) => credit.take(now))).toEqual([true, true, true, false]);
  expect(credit.take(90)).toBe(false);
  expect(credit.take(110)).toBe(true);
  expect(credit.take(120)).toBe(false);
});

test("a slider that is drawn for half a minute stays below what browsers allow", () => {
  const credit = new WriteCredit();
  let written = 0;
  for (let now = 0; now < 30_000; now += 16) written += credit.take(now) ? 1 : 0;
  expect(written).toBeLessThan(100);
});

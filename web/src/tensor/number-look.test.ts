import { expect, test } from "vitest";

import { largestOf, numberClass } from "./number-look";

test("sign and magnitude become classes", () => {
  expect(numberClass(2, 2)).toBe("positive size-6");
  expect(numberClass(-2, 2)).toBe("negative size-6");
  expect(numberClass(1e-9, 2)).toBe("positive size-1");
  expect(numberClass(0, 2)).toBe("is-zero");
  expect(numberClass(-0, 2)).toBe("is-zero");
});

test("what is no ordinary number has a class of its own", () => {
  expect(numberClass("nan", 2)).toBe("is-nan");
  expect(numberClass("-inf", 2)).toBe("is-infinite");
  expect(numberClass(null, 2)).toBe("");
  expect(numberClass(undefined, 2)).toBe("");
});

test("the largest is the largest finite magnitude of both sides", () => {
  expect(largestOf([1, -5, "inf", "nan", null], [4])).toBe(5);
  expect(largestOf([], ["nan"])).toBe(0);
});

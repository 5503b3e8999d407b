import { expect, test } from "vitest";

import { connectionOf } from "./connection";

test.each([
  [0, "offline", "offline"],
  [404, "session", "forgotten"],
  [401, "token", "locked"],
  [404, "item", null],
  [400, "input", null],
  [409, "not-ready", null],
  [500, "fault", null],
] as const)("a refusal %i %s: %s", (status, code, found) => {
  expect(connectionOf({ status, code })).toBe(found);
});

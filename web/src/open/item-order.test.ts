import { expect, test } from "vitest";

import { moved } from "./item-order";

const items = ["a", "b", "c"].map((id) => ({ id, name: id, bytes: 0, source: "upload" as const }));
const ids = (id: string, step: 1 | -1) => moved(items, id, step).map((item) => item.id).join("");

test("an item goes one place further, never past the ends", () => {
  expect(ids("a", 1)).toBe("bac");
  expect(ids("c", -1)).toBe("acb");
  expect(ids("a", -1)).toBe("abc");
  expect(ids("c", 1)).toBe("abc");
  expect(ids("x", 1)).toBe("abc");
});

import { expect, test } from "vitest";

import type { SideDetail } from "../api/types";
import { pairSides } from "./pair-sides";

const side = (name: string) => ({ name }) as SideDetail;

test("names become sides of a rule", () => {
  expect(pairSides({ expected: side("0_query"), actual: [side("a b")], fused: null })).toEqual({
    names: { expected: "0_query", actual: "a b" },
    texts: { expected: "0_query", actual: '"a b"' },
  });
  expect(pairSides({ expected: null, actual: [side("x")], fused: null }).texts).toEqual({ expected: "-", actual: "x" });
});

test("a part of a fused tensor is named, once", () => {
  const fused = { side: "actual" as const, parts: ["query", "key"], index: 1, group: "qk" };
  expect(pairSides({ expected: side("key"), actual: [side("qk"), side("qk")], fused }).texts.actual).toBe("qk[key]");
  expect(pairSides({ expected: side("key"), actual: [side("qk[key]")], fused }).texts.actual).toBe("qk[key]");
});

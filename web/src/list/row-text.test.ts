import { expect, test } from "vitest";

import { errorShare, isRenamed, nameParts, otherName, rowLabel, shortDtype, shortShape } from "./row-text";
import { madeRows } from "./rows-made";

test("the parts of a name are the name, and its end is never cut", () => {
  for (const name of ["q", "0_post_ln_pre_attn", "model.layers.12.self_attn.q_proj.weight", "é".repeat(40), "😀".repeat(30), ""]) {
    for (const layer of [null, 0, 12]) {
      const { shared, head, tail } = nameParts(name, layer, true);
      expect(shared + head + tail).toBe(name);
      expect([...tail].length).toBeLessThanOrEqual(16);
    }
  }
});

test("what is said by the header is given up first, the layer's number only below its header", () => {
  const name = "model.layers.2.mlp.experts.12.gate_up_proj.weight";
  expect(nameParts(name, 2, true)).toEqual({ shared: "model.layers.2.", head: "mlp.experts.12.gate_up_proj", tail: ".weight" });
  expect(nameParts(name, 2, false).shared).toBe("model.layers.");
  expect(nameParts(name, null, false).shared).toBe("");
  expect(nameParts("block12.layer02.attention.query.weight", 2, true).shared).toBe("block12.layer02.");
  expect(nameParts("2_post_attn", 2, true)).toEqual({ shared: "", head: "", tail: "2_post_attn" });
});

test("errors have a length by their logarithm", () => {
  expect(errorShare(0)).toBe(0);
  expect(errorShare(null)).toBe(0);
  expect(errorShare("nan")).toBe(1);
  expect(errorShare("inf")).toBe(1);
  expect(errorShare(1e99)).toBe(1);
  expect(errorShare(1e-4)).toBeCloseTo(0.5);
  expect(errorShare(1e-30)).toBeGreaterThan(0);
});

test("dtypes and shapes are short", () => {
  expect(["float32", "bfloat16", "float8_e4m3fn", "uint8", "int64", "complex64", "bool", ""].map(shortDtype)).toEqual(
    ["f32", "bf16", "f8_e4m3fn", "u8", "i64", "c64", "bool", ""],
  );
  expect(["[]", "[3]", "[0, 3]", "[2, 3, 4]", ""].map(shortShape)).toEqual(["0-d", "3", "0×3", "2×3×4", ""]);
});

test("the second name is shown where it is another", () => {
  const rows = madeRows(["a", "b", "c"], { actual: ["a", "x", null], status: [0, 1, 4], error: [0, "nan", null] });
  expect([0, 1, 2].map((row) => otherName(rows, row))).toEqual([null, "x", null]);
  expect(rowLabel(rows, 1)).toBe("b, in the actual run x, differs, relative error NaN");
  expect(rowLabel(rows, 2)).toBe("c, only expected");
});

test("two lines are for runs whose names differ, not for one odd name", () => {
  const names = Array.from({ length: 30 }, (_, row) => `n${row}`);
  const renamed = (count: number) => madeRows(names, { actual: names.map((name, row) => (row < count ? `x${name}` : name)) });
  expect(isRenamed(renamed(1))).toBe(false);
  expect(isRenamed(renamed(20))).toBe(true);
  expect(isRenamed(madeRows([]))).toBe(false);
});

import { expect, test } from "vitest";

import { filterWords, foldNames, nameFits, occurs } from "./name-filter";

const fits = (text: string, first: string, second: string | null = null): boolean => nameFits(filterWords(text), first, second);

test("words occur anywhere, all of them, whatever their case", () => {
  expect(fits("ATTN q", "model.attn.q_proj")).toBe(true);
  expect(fits("attn k", "model.attn.q_proj")).toBe(false);
  expect(fits("", "model.attn.q_proj")).toBe(true);
  expect(fits("   ", "model.attn.q_proj")).toBe(true);
});

test("a star stands for anything between its pieces, in their order", () => {
  expect(fits("layers.*.weight", "model.layers.12.mlp.weight")).toBe(true);
  expect(fits("weight*layers", "model.layers.12.mlp.weight")).toBe(false);
  expect(fits("*", "anything")).toBe(true);
  expect(fits("aa*aa", "aaa")).toBe(false);
});

test("signs of regular expressions mean themselves", () => {
  expect(fits("a.b", "axb")).toBe(false);
  expect(fits("[0]", "x[0]")).toBe(true);
  expect(fits("(", "x")).toBe(false);
});

test("a word may stand in either name, but not half in each", () => {
  expect(fits("wte layers", "model.layers.0", "wte.0")).toBe(true);
  expect(fits("0*wte", "model.layers.0", "wte.1")).toBe(false);
});

test("names are folded once, the second only where it is another", () => {
  const folded = foldNames({ expected: ["A", "B", null], actual: ["A", "C", "D"] });
  expect(folded).toEqual({ first: ["a", "b", "d"], second: [null, "c", null] });
});

test("a name always has its own pieces, and what is cut out of it", () => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const name = Array.from({ length: 1 + (seed % 17) }, (_, at) => "ab.0"[(seed * (at + 3) * 7919) % 4]).join("");
    const from = seed % name.length;
    const to = from + ((seed * 31) % (name.length - from));
    expect(occurs([name.slice(0, from), name.slice(to)].filter(Boolean), name), `${name} ${from} ${to}`).toBe(true);
  }
});

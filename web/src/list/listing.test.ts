import { expect, test } from "vitest";

import { fitMask, fitting, groupAt, groupOrder, inGroups, type Listing, type Wanted } from "./listing";
import { foldNames } from "./name-filter";
import { rowGroups, type Grouping } from "./row-groups";
import { rowOrder, type SortKey } from "./row-order";
import { madeRows, randomRows, seeded } from "./rows-made";

const ALL = { text: "", hidden: new Set<number>(), dtype: null };

test("only rows that fit every filter are left, in the order given", () => {
  const rows = madeRows(["a.q", "a.k", "b.q", "c.q"], { status: [0, 1, 1, 1], dtype: [0, 0, 0, 1], dtypes: ["float32", "int64"] });
  const left = (wanted: Partial<Wanted>): number[] => [
    ...fitting(rowOrder(rows, "order", true), fitMask(rows, foldNames(rows), { ...ALL, ...wanted })),
  ];
  expect(left({})).toEqual([3, 2, 1, 0]);
  expect(left({ text: "q" })).toEqual([3, 2, 0]);
  expect(left({ text: "q", hidden: new Set([0]) })).toEqual([3, 2]);
  expect(left({ text: "q", hidden: new Set([0]), dtype: 0 })).toEqual([2]);
  expect(left({ dtype: -1 })).toEqual([]);
});

test("layers are groups in their order, with what stands before, between and after them", () => {
  const rows = madeRows([..."abcdef"], { layer: [null, 0, null, 0, 1, null], status: [0, 0, 0, 1, 2, 4] });
  const order = rowOrder(rows, "order", false);
  const shown = inGroups(rows.status, Int32Array.from(order), rowGroups(rows, "layer"), "own", (key) => key === "0");
  expect(shown.groups.map((group) => [group.key, group.label, group.count, group.wrong, group.worst])).toEqual([
    ["before", "Before the layers", 1, 0, 0],
    ["0", "Layer 0", 2, 1, 1],
    ["between", "Between the layers", 1, 0, 0],
    ["1", "Layer 1", 1, 1, 2],
    ["after", "After the layers", 1, 1, 4],
  ]);
  expect([...shown.rows]).toEqual([0, 1, 3, 2, 4, 5]);
  expect([...shown.entries]).toEqual([~0, 0, ~1, ~2, 2, ~3, 4, ~4, 5]);
});

test("without layers there are no groups by layer", () => {
  expect(rowGroups(madeRows(["a", "b"]), "layer")).toBe(null);
  expect(rowGroups(madeRows([]), "layer")).toBe(null);
});

test("by status the worst group comes first, whatever the order", () => {
  const rows = madeRows([..."abcd"], { status: [0, 2, 1, 6] });
  const shown = inGroups(rows.status, Int32Array.from([0, 1, 2, 3]), rowGroups(rows, "status"), groupOrder("status", "error", true), () => false);
  expect(shown.groups.map((group) => group.label)).toEqual(["differs", "refused", "inherited", "ok"]);
});

test("sorted by error the group with the worst row stands first", () => {
  const rows = madeRows([..."abcd"], { layer: [0, 0, 1, 1], error: [1, 2, 9, 0] });
  const order = Int32Array.from(rowOrder(rows, "error", true));
  const shown = inGroups(rows.status, order, rowGroups(rows, "layer"), groupOrder("layer", "error", true), () => false);
  expect([...shown.entries]).toEqual([~0, 2, 3, ~1, 1, 0]);
  expect(shown.groups.map((group) => group.label)).toEqual(["Layer 1", "Layer 0"]);
});

function check(shown: Listing, isGrouped: boolean): void {
  if (!isGrouped) {
    expect([...shown.entries]).toEqual([...shown.rows]);
    return;
  }
  let [entry, row] = [0, 0];
  shown.groups.forEach((group, number) => {
    expect(group.header).toBe(entry);
    expect(shown.entries[entry]).toBe(~number);
    const own = [...shown.rows.subarray(row, row + group.count)];
    const open = group.isOpen ? own : [];
    expect([...shown.entries.subarray(entry + 1, entry + 1 + open.length)]).toEqual(open);
    for (let at = entry; at <= entry + open.length; at += 1) expect(groupAt(shown.groups, at)).toBe(number);
    entry += 1 + open.length;
    row += group.count;
  });
  expect(entry).toBe(shown.entries.length);
  expect(row).toBe(shown.rows.length);
}

test("groups hold each row that fits once, one after the other, and sorting holds inside them", () => {
  for (let seed = 0; seed < 120; seed += 1) {
    const random = seeded(seed);
    const rows = randomRows(Math.floor(random() * 90), seed);
    const key = (["order", "name", "error", "max"] as SortKey[])[seed % 4]!;
    const grouping = (["none", "layer", "stage", "status"] as Grouping[])[(seed >> 2) % 4]!;
    const order = rowOrder(rows, key, seed % 2 === 1);
    const hidden = new Set([Math.floor(random() * 7)]);
    const fit = fitting(order, fitMask(rows, foldNames(rows), { text: random() < 0.5 ? "attn" : "", hidden, dtype: null }));
    const grouped = rowGroups(rows, grouping);
    const closed = new Set(["0", "1", "before"]);
    const shown = inGroups(rows.status, fit, grouped, groupOrder(grouping, key, seed % 2 === 1), (name) => closed.has(name));
    check(shown, grouped !== null);
    expect([...shown.rows].sort((one, other) => one - other)).toEqual([...fit].sort((one, other) => one - other));
    const rank = new Map([...order].map((row, place) => [row, place]));
    let from = 0;
    for (const group of shown.groups) {
      const ranks = [...shown.rows.subarray(from, from + group.count)].map((row) => rank.get(row)!);
      expect(ranks).toEqual([...ranks].sort((one, other) => one - other));
      from += group.count;
    }
  }
});

test("100,000 rows are filtered, sorted and grouped about as quickly as they are sorted plainly", () => {
  const rows = randomRows(100_000, 1);
  const names = foldNames(rows);
  const errors = rows.error.map((error) => (typeof error === "number" ? error : -1));
  const taken = (work: () => unknown): number => {
    const start = performance.now();
    work();
    return performance.now() - start;
  };
  // In turn in one process, the best of each: what it costs, whatever else the machine does.
  let [plain, whole] = [Infinity, Infinity];
  for (let run = 0; run < 15; run += 1) {
    plain = Math.min(plain, taken(() => errors.map((_, row) => row).sort((one, other) => errors[one]! - errors[other]!)));
    whole = Math.min(whole, taken(() => {
      const order = rowOrder(rows, "error", true);
      const mask = fitMask(rows, names, { text: "layers*mlp 7", hidden: new Set([2]), dtype: 0 });
      inGroups(rows.status, fitting(order, mask), rowGroups(rows, "layer"), "first", () => false);
    }));
  }
  console.info(`filter, sort and group 100,000 rows: ${whole.toFixed(1)} ms; a plain sort: ${plain.toFixed(1)} ms`);
  expect(whole).toBeLessThan(3 * plain);
});

/** Rows for tests. */

import type { Figure, Rows } from "../api/types";

/** A row for each name, as the server would send them; what is not given is the same for all. */
export function madeRows(names: readonly string[], given: Partial<Rows> = {}): Rows {
  const all = <T>(value: T): T[] => names.map(() => value);
  return {
    count: names.length,
    expected: [...names],
    actual: [...names],
    status: all(0),
    layer: all(null),
    stage: all(0),
    dtype: all(0),
    shape: all(0),
    error: all<Figure>(0),
    max_abs: all<Figure>(0),
    order: names.map((_, row) => row),
    stages: [""],
    dtypes: ["float32"],
    shapes: ["[2, 3]"],
    ...given,
  };
}

/** Numbers from 0 up to 1, the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}

/** Random rows with every status, layer and kind of figure. */
export function randomRows(count: number, seed: number): Rows {
  const random = seeded(seed);
  const pick = <T>(...from: T[]): T => from[Math.floor(random() * from.length)] as T;
  const names = Array.from({ length: count }, (_, row) => `layers.${row % 13}.${pick("attn", "mlp", "norm")}.${row}`);
  const figure = (): Figure => pick<Figure>(0, 1e-7, random(), random() * 1e9, "nan", "inf", null);
  return madeRows(names, {
    status: names.map(() => Math.floor(random() * 7)),
    layer: names.map(() => pick(null, Math.floor(random() * 5))),
    stage: names.map(() => Math.floor(random() * 3)),
    dtype: names.map(() => Math.floor(random() * 2)),
    error: names.map(figure),
    max_abs: names.map(figure),
    stages: ["", "query", "post_mlp"],
    dtypes: ["float32", "bfloat16"],
  });
}

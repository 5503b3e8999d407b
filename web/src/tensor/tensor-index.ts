/** Indices of numbers in a tensor, in row-major order. */

export type Shape = readonly number[];

/** How many numbers a shape holds; 1 for a single number. */
export function elementsOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The place of an index when all numbers stand in one line. */
export function placeInLine(index: readonly number[], shape: Shape): number {
  return shape.reduce((position, size, dim) => position * size + (index[dim] ?? 0), 0);
}

/** The index of a place in the line. */
export function indexAt(position: number, shape: Shape): number[] {
  const index = new Array<number>(shape.length).fill(0);
  let rest = position;
  for (let dim = shape.length - 1; dim >= 0; dim -= 1) {
    const size = Math.max(1, shape[dim] ?? 1);
    index[dim] = rest % size;
    rest = Math.floor(rest / size);
  }
  return index;
}

/** As near as the shape allows, with one entry for each dim. */
export function clampIndex(index: readonly number[], shape: Shape): number[] {
  return shape.map((size, dim) => clamp(Math.trunc(index[dim] ?? 0), 0, size - 1));
}

/** `low` wins where there is nothing between. */
export function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, Number.isNaN(value) ? low : value));
}

/** What somebody typed: `3, 0, 7`, `[3,0,7]` or `3 0 7`; negative indices count from the end. A text says what is wrong. */
export function parseIndex(text: string, shape: Shape): number[] | string {
  const parts = text.replace(/^[\s[(]+|[\s\])]+$/g, "").split(/[\s,]+/).filter((part) => part !== "");
  if (parts.length !== shape.length) {
    return shape.length === 0
      ? "a single number has no index"
      : `give ${shape.length} ${shape.length === 1 ? "index" : "indices"}, one for each dim`;
  }
  const index: number[] = [];
  for (const [dim, part] of parts.entries()) {
    const size = shape[dim] ?? 0;
    if (!/^-?\d{1,15}$/.test(part)) return `${part} is no whole number`;
    const given = Number(part);
    const found = given < 0 ? given + size : given;
    if (found < 0 || found >= size) {
      return size === 0 ? `dim ${dim} is empty` : `dim ${dim} goes from 0 to ${size - 1}, not to ${part}`;
    }
    index.push(found);
  }
  return index;
}

/** `3,0,7`. */
export function indexText(index: readonly number[]): string {
  return index.join(",");
}

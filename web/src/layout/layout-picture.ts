/** A layout as boxes and lines: a line of boxes for each step, one for each dim. Pure. */

import type { LayoutStep } from "../api/types";

const ROW = 62;
const BOX = { height: 26, gap: 10, least: 40, perLetter: 8.5, pad: 16 };
/** Room for the words on the left. */
const LEFT = 190;

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
  text: string;
  dim: number;
}

export interface Line {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  /** Of the stored dim where it comes from, for its colour. */
  origin: number;
}

export interface PictureRow {
  y: number;
  words: string;
  side: "expected" | "actual";
}

export interface Picture {
  width: number;
  height: number;
  boxes: Box[];
  lines: Line[];
  rows: PictureRow[];
}

/** The actual tensor on top, step by step down to what is compared; below it the expected one, upwards. */
export function pictureOf(steps: readonly LayoutStep[]): Picture {
  const actual = steps.filter((step) => step.side === "actual");
  const expected = steps.filter((step) => step.side === "expected").reverse();
  const all = [...actual, ...expected];
  const boxes = all.map((step, place) => boxesOf(step.shape, place));
  const lines: Line[] = [];
  const origins: number[][] = [];
  actual.forEach((step, place) => {
    origins[place] = step.shape.map((_, dim) => (place === 0 ? dim : (origins[place - 1]?.[step.dims[dim]?.[0] ?? -1] ?? -1)));
    if (place > 0) lines.push(...between(boxes[place - 1], boxes[place], step.dims, origins[place - 1] ?? []));
  });
  const met = actual.length;
  if (expected.length > 0) lines.push(...meeting(boxes[met - 1], boxes[met], origins[met - 1] ?? []));
  expected.forEach((step, place) => {
    // Its dims are made of those of the line below, since the expected side is told from the bottom.
    const upper = boxes[met + place];
    const lower = boxes[met + place + 1];
    if (place + 1 < expected.length) lines.push(...flipped(between(lower, upper, step.dims, [])));
  });
  const flat = boxes.flat();
  return {
    width: Math.max(LEFT + 60, ...flat.map((box) => box.x + box.width + 2)),
    height: Math.max(1, all.length) * ROW - (ROW - BOX.height) + 4,
    boxes: flat,
    lines,
    rows: all.map((step, place) => ({ y: place * ROW + BOX.height / 2 + 2, words: wordsOf(step), side: step.side })),
  };
}

function boxesOf(shape: readonly number[], place: number): Box[] {
  let x = LEFT;
  return shape.map((size, dim) => {
    const text = String(size);
    const width = Math.max(BOX.least, text.length * BOX.perLetter + BOX.pad);
    const box = { x, y: place * ROW + 2, width, height: BOX.height, text, dim };
    x += width + BOX.gap;
    return box;
  });
}

function between(
  from: readonly Box[] | undefined, to: readonly Box[] | undefined, dims: readonly (readonly number[])[], origins: readonly number[],
): Line[] {
  return dims.flatMap((sources, dim) =>
    sources.flatMap((source) => {
      const start = from?.[source];
      const end = to?.[dim];
      return start && end ? [lineOf(start, end, origins[source] ?? -1)] : [];
    }),
  );
}

/** The two sides have one shape where they meet: dim by dim. */
function meeting(from: readonly Box[] | undefined, to: readonly Box[] | undefined, origins: readonly number[]): Line[] {
  if (!from || !to || from.length !== to.length) return [];
  return from.map((box, dim) => lineOf(box, to[dim] as Box, origins[dim] ?? -1));
}

function lineOf(start: Box, end: Box, origin: number): Line {
  return { x1: start.x + start.width / 2, y1: start.y + start.height, x2: end.x + end.width / 2, y2: end.y, origin };
}

/** Lines that were drawn from below: from the upper edge of the lower box to the lower edge of the upper one. */
function flipped(lines: Line[]): Line[] {
  return lines.map(({ x1, y1, x2, y2, origin }) => ({ x1: x2, y1: y2 + BOX.height, x2: x1, y2: y1 - BOX.height, origin }));
}

function wordsOf(step: LayoutStep): string {
  if (step.name === "") return step.side;
  return /^\d+ ranks$/.test(step.name) ? `${step.side}, each of ${step.name}` : step.name;
}

/** The same in words, for those who do not see it. */
export function pictureWords(steps: readonly LayoutStep[]): string {
  return steps.map((step) => `${wordsOf(step)} [${step.shape.join(", ")}]`).join(", then ");
}

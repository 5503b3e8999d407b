import { expect, test } from "vitest";

import { colour, levelOf, parseColour, pixelOf, placeOf, tableOf, type Palette } from "./heat-colours";

const palette: Palette = {
  table: tableOf([[255, 0, 0], [255, 255, 255], [0, 0, 255]]),
  nan: 1,
  infinite: 2,
};

test("the table goes from colour to colour, and 0 is its middle", () => {
  expect(palette.table).toHaveLength(511);
  expect(palette.table[0]).toBe(pixelOf([255, 0, 0]));
  expect(palette.table[255]).toBe(pixelOf([255, 255, 255]));
  expect(palette.table[510]).toBe(pixelOf([0, 0, 255]));
});

test("signed numbers are as far from the middle as from 0", () => {
  expect(levelOf(-1, { low: -2, high: 4 })).toBe(-0.25);
  expect(levelOf(5, { low: 4, high: 6 })).toBe(0.5);
  expect(levelOf(-6, { low: -6, high: -4 })).toBe(-1);
  expect(levelOf(3, { low: 3, high: 3 })).toBe(1);
  expect(levelOf(0, { low: 0, high: 0 })).toBe(0);
  expect(levelOf(5, { low: -10, high: 5 })).toBe(0.5);
  expect(levelOf(-5, { low: -5, high: 10 })).toBe(-0.5);
});

test("what is not 0 is never of the colour of 0", () => {
  expect(placeOf(0, false)).toBe(255);
  expect(placeOf(1e-30, false)).toBeGreaterThan(260);
  expect(placeOf(-1e-30, true)).toBeLessThan(250);
  expect(placeOf(1, true)).toBe(510);
  expect(placeOf(-1, false)).toBe(0);
  expect(placeOf(1e-3, true)).toBeGreaterThan(placeOf(1e-3, false));
});

test("NaN and infinities have colours of their own, and what is missing has none", () => {
  const pixels = new Uint32Array(5).fill(7);
  colour(new Float32Array([0, NaN, -Infinity, 1, 1]), pixels, palette, { low: -1, high: 1 }, false, 1);
  expect([...pixels]).toEqual([pixelOf([255, 255, 255]), 1, 2, pixelOf([0, 0, 255]), 0]);
});

test("colours of the theme are read", () => {
  expect(parseColour(" #1f6aab")).toEqual([31, 106, 171]);
  expect(parseColour("#fff")).toEqual([255, 255, 255]);
});

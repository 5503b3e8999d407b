/** From numbers to pixels by a table of colours. Pure: the colours of the theme are given. */

export type Rgb = readonly [number, number, number];

export interface Palette {
  /** From the lowest (-1) over 0 to the highest (1). */
  table: Uint32Array;
  nan: number;
  infinite: number;
}

export interface Range {
  low: number;
  high: number;
}

const HALF = 255;
/** Numbers that are not 0 stand out from 0 by so many colours at least. */
const LEAST = 20;
const DECADES = 6;

/** Colours are mixed where steps look equal (OKLab, Björn Ottosson 2020). */
export function tableOf(stops: readonly Rgb[]): Uint32Array {
  const lab = stops.map(toLab);
  return Uint32Array.from({ length: 2 * HALF + 1 }, (_, place) => {
    const along = (place / (2 * HALF)) * (stops.length - 1);
    const from = Math.min(stops.length - 2, Math.floor(along));
    const part = along - from;
    const [one, other] = [lab[from], lab[from + 1]];
    return pixelOf(toRgb([0, 1, 2].map((axis) => mix(one?.[axis] ?? 0, other?.[axis] ?? 0, part)) as unknown as Rgb));
  });
}

const mix = (one: number, other: number, part: number) => one + (other - one) * part;

/** Little-endian RGBA, as `ImageData` has it. */
export function pixelOf([red, green, blue]: Rgb): number {
  return ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}

/** `#1f6aab` as three numbers. */
export function parseColour(text: string): Rgb {
  const digits = text.trim().replace("#", "");
  const wide = digits.length === 3 ? [...digits].map((digit) => digit + digit).join("") : digits;
  return [0, 2, 4].map((start) => Number.parseInt(wide.slice(start, start + 2), 16) || 0) as unknown as Rgb;
}

export function mixed(one: Rgb, other: Rgb, part: number): Rgb {
  return [0, 1, 2].map((axis) => mix(one[axis] ?? 0, other[axis] ?? 0, part)) as unknown as Rgb;
}

/** -1 to 1: signed numbers by their distance from 0, those of one sign by where they are between lowest and highest. */
export function levelOf(value: number, { low, high }: Range): number {
  if (low < 0 && high > 0) return value / Math.max(-low, high);
  if (high === low) return Math.sign(value);
  return low >= 0 ? (value - low) / (high - low) : (value - high) / (high - low);
}

/** The place in the table; a log scale shows six powers of ten. */
export function placeOf(level: number, isLog: boolean): number {
  const size = Math.min(1, Math.abs(level));
  if (size === 0) return HALF;
  const shown = isLog ? Math.max(0, 1 + Math.log10(size) / DECADES) : size;
  const steps = Math.round(LEAST + shown * (HALF - LEAST));
  return HALF + Math.sign(level) * steps;
}

/** Colour all numbers into `pixels`; the last `missing` of them stay clear. */
export function colour(
  numbers: Float32Array, pixels: Uint32Array, palette: Palette, range: Range, isLog: boolean, missing = 0,
): void {
  const { table, nan, infinite } = palette;
  const last = numbers.length - missing;
  for (let place = 0; place < last; place += 1) {
    const value = numbers[place] as number;
    if (Number.isFinite(value)) pixels[place] = table[placeOf(levelOf(value, range), isLog)] as number;
    else pixels[place] = Number.isNaN(value) ? nan : infinite;
  }
  pixels.fill(0, last);
}

function toLab(rgb: Rgb): Rgb {
  const [r, g, b] = rgb.map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as unknown as Rgb;
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function toRgb([lightness, a, b]: Rgb): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((c) => {
    const part = c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055;
    return Math.max(0, Math.min(255, part * 255));
  }) as unknown as Rgb;
}

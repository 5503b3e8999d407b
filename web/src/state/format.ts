/** Numbers as people read them. */

import type { Figure } from "../api/types";

/** `3.1e-7`, `0`, `NaN`, `-` where there is none. */
export function figureText(figure: Figure | undefined, digits = 2): string {
  if (figure === null || figure === undefined) return "-";
  if (figure === "nan") return "NaN";
  if (typeof figure === "string") return figure;
  if (figure === 0) return "0";
  const size = Math.abs(figure);
  return size >= 1e-3 && size < 1e5 ? String(Number(figure.toPrecision(digits + 2))) : figure.toExponential(digits - 1);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes in binary units: `1.5 GiB`. */
export function bytesText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

/** `[1, 8, 76, 64]`. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** `3 min ago`, `2 days ago`. */
export function agoText(seconds: number): string {
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${plural(Math.floor(seconds / 86_400), "day")} ago`;
}

/** `1 pair`, `2 pairs`; `several` where no `s` makes them. */
export function plural(count: number, noun: string, several = `${noun}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : several}`;
}

/** Numbers as Python reads them. Pure. */

import type { Cells } from "../api/types";

/** dtypes that torch has, as far as `torch.tensor` makes them; others are made as float32 and turned into them. */
const NARROW = /^float8|^float4/;

/** One number: `nan` and infinities need a name. */
export function numberText(text: string): string {
  if (/^(nan|inf|-inf)$/.test(text)) return `float("${text}")`;
  if (!text.includes("j")) return text;
  if (!/nan|inf/.test(text)) return text;
  return `complex("${text.replace(/^\(|\)$/g, "")}")`;
}

/** A list, or a list of lists where there are several rows; a single number where the tensor is one. */
export function listText(cells: Cells): string {
  const rows: string[] = [];
  for (let row = 0; row < cells.height; row += 1) {
    const texts = cells.text.slice(row * cells.width, (row + 1) * cells.width);
    rows.push(`[${texts.filter((text) => text !== null).map(numberText).join(", ")}]`);
  }
  if (cells.shape.length === 0) return numberText(cells.text[0] ?? "nan");
  if (rows.length === 1) return rows[0] ?? "[]";
  return `[\n${rows.map((row) => `    ${row},\n`).join("")}]`;
}

/** `torch.tensor([...], dtype=torch.float32)`. */
export function tensorText(cells: Cells): string {
  const list = listText(cells);
  if (NARROW.test(cells.dtype)) return `torch.tensor(${list}).to(torch.${cells.dtype})`;
  return `torch.tensor(${list}, dtype=torch.${cells.dtype})`;
}

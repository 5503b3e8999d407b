/** Sides of a rule as they stand in a map; `docs/reference/compare-names.md` says how. */

/** A name that is to be taken as it stands: in quotes where it would be read as something else. */
export function sideText(name: string): string {
  const isPlain = name !== "-" && /^[^\s"*{}#=]+$/.test(name);
  return isPlain ? name : JSON.stringify(name);
}

/** The name of a side that is about one tensor; null for patterns and for `-`. */
export function nameOf(side: string): string | null {
  if (side === "-") return null;
  if (/^"(?:[^"\\]|\\.)*"$/.test(side)) {
    try {
      return JSON.parse(side) as string;
    } catch {
      return side;
    }
  }
  return isPattern(side) ? null : side;
}

/** Whether a side stands for several names. */
export function isPattern(side: string): boolean {
  return !side.startsWith('"') && /\*|\{[A-Za-z_]\w*(?:[+-]\d{1,9})?\}/.test(side);
}

/** Whether a pattern, of the expected side, is about a name. */
export function covers(pattern: string, name: string): boolean {
  if (!isPattern(pattern)) return false;
  const parts = pattern.split(/(\*|\{[A-Za-z_]\w*\})/);
  const wanted = parts.map((part, place) => {
    if (place % 2 === 0) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return part === "*" ? "[^]*" : "(?<![0-9])[0-9]+(?![0-9])";
  });
  return new RegExp(`^${wanted.join("")}$`).test(name);
}

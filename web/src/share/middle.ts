/** A name in two parts, so that a narrow place can leave out its middle: runs differ in how they end. */
export function halves(name: string, end = 14): [start: string, end: string] {
  const letters = [...name];
  if (letters.length <= end + 4) return [name, ""];
  return [letters.slice(0, -end).join(""), letters.slice(-end).join("")];
}

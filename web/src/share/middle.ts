/** A name in two parts, so that a narrow place can leave out its middle: runs differ in how they end. */
export function halves(name: string, end = 14): [start: string, end: string] {
  const letters = [...name];
  if (letters.length <= end + 4) return [name, ""];
  return [letters.slice(0, -end).join(""), letters.slice(-end).join("")];
}

/** Labels without the folders that all of them lie in; the last part always stays. */
export function shortLabels(labels: readonly string[]): string[] {
  const parts = labels.map((label) => label.split("/"));
  const most = Math.min(...parts.map((one) => one.length - 1));
  let shared = 0;
  while (shared < most && parts.every((one) => one[shared] === parts[0]?.[shared])) shared += 1;
  return parts.map((one) => one.slice(shared).join("/"));
}

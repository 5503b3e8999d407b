/** What somebody typed into the search box. Pure. */

export interface SearchQuery {
  what: "value" | "range" | "nan";
  /** As typed: the server knows how exact it is. */
  low?: string;
  high?: string;
  /** What is looked for, in words. */
  words: string;
}

/** The server reads no longer ones. */
const MOST_CHARACTERS = 400;
/** One way alone to read each text: with two, a letter behind some hundred digits would take seconds. */
const DIGITS = "(?:\\d[\\d_]*(?:\\.\\d*)?|\\.\\d+)";
const REAL = `[+-]?(?:${DIGITS}(?:e[+-]?\\d+)?|inf(?:inity)?)`;
const NUMBER = new RegExp(`^(?:${REAL}|true|false|\\(?(?:${REAL})?(?:[+-]${DIGITS}?(?:e[+-]?\\d+)?j|${REAL}j)\\)?)$`, "i");
const BOUND = new RegExp(`^${REAL}$`, "i");

/** `0.5`, `0.1..0.2`, `>3`, `<=-1`, `nan`, `inf`, `-inf`; a text says what is wrong. */
export function parseSearch(typed: string): SearchQuery | string {
  const text = typed.trim().replaceAll("−", "-").replaceAll("∞", "inf");
  if (text === "") return "type a number, a range like 0.1..0.2, >3, nan or inf";
  if (text.length > MOST_CHARACTERS) return `${shortened(text)} is no number`;
  if (/^[+-]?nan$/i.test(text)) return { what: "nan", words: "NaN" };
  const range = text.match(/^(.*?)\s*(?:\.\.\.?|…)\s*(.*)$/);
  if (range) return between(range[1] ?? "", range[2] ?? "");
  const bound = text.match(/^(<=|>=|<|>|≤|≥)\s*(.*)$/);
  if (bound) return bound[1] === "<" || bound[1] === "<=" || bound[1] === "≤" ? between("", bound[2] ?? "") : between(bound[2] ?? "", "");
  if (!NUMBER.test(text)) return `${shortened(text)} is no number`;
  return { what: "value", low: text, words: text };
}

function between(low: string, high: string): SearchQuery | string {
  for (const end of [low, high]) if (end !== "" && !BOUND.test(end)) return `${shortened(end)} is no number`;
  if (low === "" && high === "") return "a range has an end: 0.1..0.2, >3, <-1";
  if (low !== "" && high !== "" && Number(low) > Number(high)) return `${shortened(low)} is larger than ${shortened(high)}`;
  const words = low === "" ? `${high} or less` : high === "" ? `${low} or more` : `${low} to ${high}`;
  return { what: "range", ...(low === "" ? {} : { low }), ...(high === "" ? {} : { high }), words };
}

const shortened = (text: string) => (text.length > 30 ? `${text.slice(0, 29)}…` : text);

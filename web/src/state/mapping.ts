/** The user's rules on names and layouts, and the ways to change them. What they change is compared anew. */

import { effect, signal } from "@preact/signals";

import * as api from "../api/client";
import { ApiFailure } from "../api/client";
import type { MapRule, Rows } from "../api/types";
import { nameOf } from "../layout/rule-text";
import { saveFile } from "../share/save-file";
import { announce } from "./announce";
import { report, tell, type Banner } from "./banner";
import { follow, rows, selectedRow, sides } from "./page-state";

export const rules = signal<MapRule[]>([]);
/** Why the last change was refused; nothing has changed then. */
export const mappingFailure = signal<Banner | null>(null);
/** Whether a change is on its way. */
export const isMapping = signal(false);

effect(() => {
  const found = rows.value;
  if (found) void loadRules(found);
  else rules.value = [];
});

/** What was said last, and of which files: it holds, too, when these are compared with other settings. */
let kept: { of: string; rules: MapRule[] } = { of: "", rules: [] };

const filesText = () => JSON.stringify([sides.peek().expected, sides.peek().actual].map((items) => items.map((item) => item.id)));

async function loadRules(of: Rows): Promise<void> {
  try {
    const found = await api.getMapping();
    if (rows.peek() !== of) return;
    rules.value = found.rules;
    const wanted = kept.of === filesText() ? kept.rules : [];
    if (found.rules.length > 0 || wanted.length === 0 || isMapping.peek()) return;
    kept = { of: "", rules: [] };
    const row = selectedRow.peek();
    await applyRules(wanted, { expected: of.expected[row ?? -1] ?? null, actual: of.actual[row ?? -1] ?? null });
  } catch (error) {
    report(error);
  }
}

/** Compare under these rules; afterwards the row of `about` is shown, wherever it stands then. */
export async function applyRules(wanted: MapRule[], about: { expected: string | null; actual: string | null }): Promise<boolean> {
  mappingFailure.value = null;
  isMapping.value = true;
  try {
    await api.numbersAreBack();
    const begun = await api.putMapping(wanted);
    kept = { of: filesText(), rules: wanted };
    await follow(begun, (all) => rowOf(all, about.expected, about.actual) ?? stay(all));
    return true;
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 400) mappingFailure.value = { message: error.message, hint: error.hint };
    else report(error);
    return false;
  } finally {
    isMapping.value = false;
  }
}

function stay(all: Rows): number | null {
  const row = selectedRow.peek();
  return row !== null && row < all.count ? row : null;
}

/** The row of a pair, or of one of its tensors. */
export function rowOf(all: Pick<Rows, "expected" | "actual">, expected: string | null, actual: string | null): number | null {
  if (expected === null && actual === null) return null;
  const both = all.expected.findIndex((name, row) => name === expected && all.actual[row] === actual);
  if (both >= 0) return both;
  const here = expected === null ? -1 : all.expected.indexOf(expected);
  if (here >= 0) return here;
  const there = actual === null ? -1 : all.actual.indexOf(actual);
  return there >= 0 ? there : null;
}

/** What a rule is about, where it names tensors. */
export const aboutRule = (rule: MapRule) => ({ expected: nameOf(rule.expected), actual: nameOf(rule.actual) });

/** Save the rules, or all that was paired and laid out, as a file for `outgrow compare --map`. */
export async function saveMapping(isWhole: boolean): Promise<void> {
  try {
    const { text } = await api.getMapping(isWhole);
    saveFile(new Blob([text], { type: "text/plain" }), isWhole ? "outgrow-whole.map" : "outgrow.map");
    announce("Saved the mapping");
  } catch (error) {
    if (api.isOutdated(error)) tell("The mapping was not saved.", "It is compared anew: ask for it again when that is done.");
    else report(error);
  }
}

export async function copyMapping(): Promise<void> {
  try {
    const { text } = await api.getMapping();
    await navigator.clipboard.writeText(text);
    announce("Copied the rules");
  } catch (error) {
    if (error instanceof ApiFailure && !api.isOutdated(error)) report(error);
    else if (error instanceof ApiFailure) tell("The rules were not copied.", "It is compared anew: ask for them again when that is done.");
    else tell("The browser does not let the page copy.", "Save the rules as a file instead.");
  }
}

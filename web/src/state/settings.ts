/** How it is to be compared, as the page asks for it. */

import { computed, signal } from "@preact/signals";

export interface Settings {
  exact: boolean;
  rtol: string;
  atol: string;
  only: string;
}

export const settings = signal<Settings>({ exact: false, rtol: "", atol: "", only: "" });

/** What is sent, and what is wrong with it. */
export interface Checked {
  body: { exact?: true; rtol?: number; atol?: number; only?: string };
  faults: Partial<Record<"rtol" | "atol", string>>;
}

export function checkSettings(given: Settings): Checked {
  const checked: Checked = { body: {}, faults: {} };
  if (given.exact) checked.body.exact = true;
  if (given.only.trim()) checked.body.only = given.only.trim();
  for (const name of ["rtol", "atol"] as const) {
    const text = given[name].trim();
    if (!text) continue;
    const value = Number(text);
    if (Number.isFinite(value) && value >= 0) checked.body[name] = value;
    else checked.faults[name] = "a number from 0 on, as 1e-5";
  }
  return checked;
}

export const checked = computed(() => checkSettings(settings.value));
export const areSettingsGood = computed(() => Object.keys(checked.value.faults).length === 0);

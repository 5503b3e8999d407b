/** What is shown above everything, until it is closed or something works again. */

import { signal } from "@preact/signals";

import { ApiFailure, isOutdated } from "../api/client";
import { loseConnection } from "./connection";

export interface Banner {
  message: string;
  hint: string | null;
  /** An error, or a word that nothing is wrong with. */
  kind?: "error" | "word";
}

export const banner = signal<Banner | null>(null);

/** Show what went wrong; what was cancelled on purpose or is about what is not shown any more is not, and a lost
 * connection has a place of its own. */
export function report(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  if (!(error instanceof ApiFailure)) {
    console.error(error);
    banner.value = { message: `A fault in the page: ${String(error)}`, hint: "Reload the page." };
    return;
  }
  if (error.code === "cancelled" || isOutdated(error) || loseConnection(error)) return;
  banner.value = { message: error.message, hint: error.hint };
}

/** Tell something that is no error. */
export function tell(message: string, hint: string | null = null): void {
  banner.value = { message, hint, kind: "word" };
}

/** The error that is shown above everything, until it is closed or something works again. */

import { signal } from "@preact/signals";

import { ApiFailure } from "../api/client";

export interface Banner {
  message: string;
  hint: string | null;
}

export const banner = signal<Banner | null>(null);

/** Show what went wrong; what was cancelled on purpose is not. */
export function report(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  if (error instanceof ApiFailure) {
    if (error.code !== "cancelled") banner.value = { message: error.message, hint: error.hint };
    return;
  }
  banner.value = { message: `a fault in the page: ${String(error)}`, hint: "reload the page" };
}

/** What screen readers are told: how far something is, where a jump has led. */

import { signal } from "@preact/signals";

export const announced = signal("");

/** Say it politely; the same text twice is said twice. */
export function announce(text: string): void {
  announced.value = text === announced.peek() ? `${text}\u00a0` : text;
}

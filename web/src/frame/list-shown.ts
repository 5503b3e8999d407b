import { signal } from "@preact/signals";

/** Whether the list stands beside the rest; hidden, a tensor has the whole width. */
export const isListShown = signal(true);

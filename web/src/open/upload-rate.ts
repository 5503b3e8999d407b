/** How fast something is sent: over the last moments, so that the figure follows the line and does not jump. */

export interface Sample {
  /** Milliseconds of any clock that does not go back. */
  at: number;
  bytes: number;
}

const WINDOW_MS = 3000;

/** The samples with one more, without those that are too old to count. */
export function withSample(samples: readonly Sample[], sample: Sample): Sample[] {
  return [...samples.filter((old) => sample.at - old.at <= WINDOW_MS), sample];
}

/** Bytes a second; null where there is too little to tell. */
export function rateOf(samples: readonly Sample[]): number | null {
  const first = samples[0];
  const last = samples[samples.length - 1];
  if (!first || !last || last.at - first.at < 50) return null;
  return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
}

/** `8 s`, `2 min`; nothing where it cannot be told or is over in a moment. */
export function remainingText(bytes: number, rate: number | null): string {
  if (rate === null || rate <= 0) return "";
  const seconds = Math.ceil(bytes / rate);
  if (seconds < 2) return "";
  return seconds < 90 ? `${seconds} s left` : `${Math.round(seconds / 60)} min left`;
}

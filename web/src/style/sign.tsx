/** Signs that say something without its colour: drawn, since fonts differ in what they have. */

const PATHS = {
  match: "M4 12.5l5 5L20 6.5",
  differ: "M4 9h16M4 15h16M16.5 4.5l-9 15",
  insufficient: "M8.5 9a3.5 3.5 0 1 1 5.2 3c-1.1.7-1.7 1.300-1.700 2.500M12 18.300v.2",
  refused: "M12 3.500a8.500 8.500 0 1 0 0 17a8.500 8.500 0 1 0 0-17ZM12 8v5M12 16.200v.1",
  word: "M12 3.500a8.500 8.500 0 1 0 0 17a8.500 8.500 0 1 0 0-17ZM12 11v5M12 7.700v.1",
} as const;

export type SignName = keyof typeof PATHS;

/** The sign of a verdict or a message. It says nothing to screen readers: the word stands beside it. */
export function Sign({ of, size = 16 }: { of: SignName; size?: number }) {
  return (
    <svg class="sign" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[of]} fill="none" stroke="currentColor" stroke-width={size > 30 ? 2.6 : 2.2} stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

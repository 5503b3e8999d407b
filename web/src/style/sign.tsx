/** Signs that say a status without its colour: drawn, since fonts differ in what they have. */

const PATHS = {
  match: "M4 12.5l5 5L20 6.5",
  differ: "M4 9h16M4 15h16M16.5 4.5l-9 15",
  insufficient: "M8.5 9a3.5 3.5 0 1 1 5.2 3c-1.1.7-1.7 1.300-1.700 2.500M12 18.300v.2",
  ok: "M5 12.500l4.500 4.500L19 7",
  differs: "M5 9.500h14M5 14.500h14M16 5l-8 14",
  inherited: "M5 5v6a4 4 0 0 0 4 4h10M15 11l4 4-4 4",
  healed: "M5 12a7 7 0 1 1 2 5M5 19v-5h5",
  "only expected": "M14 5H6v14h8M10 12h9",
  "only actual": "M10 5h8v14h-8M5 12h9",
  refused: "M12 6v7.500M12 17.500v.2",
  word: "M12 11v6.500M12 6.700v.2",
} as const;

export type SignName = keyof typeof PATHS;

/** The sign of a status or verdict. It says nothing to screen readers: the word stands beside it. */
export function Sign({ of, size = 16 }: { of: SignName; size?: number }) {
  return (
    <svg class="sign" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[of]} fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

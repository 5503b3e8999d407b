import { useState } from "preact/hooks";

import type { Values } from "../api/types";
import { detail } from "../state/page-state";
import type { Look, SideKey } from "../state/tensor-place";
import { listText, tensorText } from "./python-text";
import { expressionOf } from "./window-text";

/** The numbers that are shown, as Python. */
export function CopyMenu({ look, values }: { look: Look; values: Values }) {
  const [said, setSaid] = useState("");
  const [refused, setRefused] = useState<string | null>(null);

  async function copy(what: string, text: string) {
    setRefused(null);
    try {
      await navigator.clipboard.writeText(text);
      setSaid(`copied ${what}`);
    } catch {
      // The browser does not let pages write there: then by hand.
      setSaid("");
      setRefused(text);
    }
  }

  const choices: [string, () => string][] = [];
  for (const side of ["expected", "actual"] as const) {
    const cells = values[side];
    if (!cells) continue;
    choices.push([`${side} as a tensor`, () => tensorText(cells)], [`${side} as a list`, () => listText(cells)]);
    // Laid out as its counterpart a tensor has other dims than in its file.
    const layout = detail.value?.layout;
    if (look.view === "aligned" && (side === "actual" ? !layout?.is_identity : layout?.expected_text)) continue;
    choices.push([`${side} as an index`, () => `${nameOf(side)}${expressionOf((look[side] ?? look.expected)!, look.mode, look.count)}`]);
  }
  return (
    <div class="copying">
      <label class="unseen" for="copy-as">Copy as Python</label>
      <select
        id="copy-as"
        value=""
        onChange={(event) => {
          const [what, make] = choices[Number(event.currentTarget.value)] ?? [];
          event.currentTarget.value = "";
          if (what && make) void copy(what, make());
        }}
      >
        <option value="" disabled>Copy as Python…</option>
        {choices.map(([what], place) => (
          <option key={what} value={place}>{what}</option>
        ))}
      </select>
      <span role="status" class="soft small">{said}</span>
      {refused !== null && (
        <textarea readOnly rows={4} aria-label="To be copied by hand" value={refused} onFocus={(event) => event.currentTarget.select()} />
      )}
    </div>
  );
}

/** `expected["layers.3.q"]`: what a reader of the file calls it. */
function nameOf(side: SideKey): string {
  const now = detail.value;
  const name = side === "expected" ? now?.expected?.name : now?.actual[0]?.name;
  return `${side}[${JSON.stringify(name ?? "")}]`;
}

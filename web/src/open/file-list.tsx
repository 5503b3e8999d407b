import type { Several, SideName } from "../api/types";
import { bytesText, plural } from "../state/format";
import { sides } from "../state/page-state";
import { remove, removeAll, setSeveral, several, shift } from "../state/side-files";

/** More than these are one line that opens. */
const MOST_SHOWN = 12;

const KINDS: { as: Several; text: string; about: string }[] = [
  { as: "auto", text: "as their names say", about: "ranks where the names count them, parts otherwise" },
  { as: "ranks", text: "ranks of one run", about: "each file is what one process saw" },
  { as: "parts", text: "parts of one dump", about: "together they are what one process saw" },
];

/** The files that a side has; of several their order and what they are together. */
export function FileList({ side }: { side: SideName }) {
  const items = sides.value[side];
  if (items.length === 0) return null;
  const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  const lines = <Lines side={side} />;
  return (
    <>
      {items.length <= MOST_SHOWN ? (
        lines
      ) : (
        <details class="many">
          <summary>
            {plural(items.length, "file")}, {bytesText(bytes)}
          </summary>
          {lines}
        </details>
      )}
      {items.length > 1 && (
        <div class="together">
          <label>
            These are{" "}
            <select value={several.value[side]} onChange={(event) => void setSeveral(side, event.currentTarget.value as Several)}>
              {KINDS.map(({ as, text, about }) => (
                <option key={as} value={as} title={about}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          <button type="button" class="quiet" onClick={() => void removeAll(side)}>
            Remove all
          </button>
        </div>
      )}
    </>
  );
}

function Lines({ side }: { side: SideName }) {
  const items = sides.value[side];
  const hasOrder = items.length > 1;
  return (
    <ol class="files">
      {items.map((item, place) => (
        <li key={item.id} class="file" data-testid="side-file">
          {hasOrder && <span class="place soft">{several.value[side] === "ranks" ? `rank ${place}` : place + 1}</span>}
          <span class="name" title={item.name}>
            {item.name}
          </span>
          <span class="soft small">{item.source === "path" && item.bytes === 0 ? "on this machine" : bytesText(item.bytes)}</span>
          {hasOrder && (
            <>
              <button type="button" class="quiet icon" aria-label={`Move ${item.name} up`} disabled={place === 0} onClick={() => void shift(side, item, -1)}>
                ↑
              </button>
              <button
                type="button" class="quiet icon" aria-label={`Move ${item.name} down`} disabled={place === items.length - 1}
                onClick={() => void shift(side, item, 1)}
              >
                ↓
              </button>
            </>
          )}
          <button type="button" class="quiet icon" aria-label={`Remove ${item.name}`} title="Remove" onClick={() => void remove(side, item)}>
            ✕
          </button>
        </li>
      ))}
    </ol>
  );
}

import { useEffect } from "preact/hooks";

import type { PlaceEntry } from "../api/types";
import { agoText, bytesText, plural } from "../state/format";
import { folder, leaveFolder, loadPlaces, openFolder, places } from "../state/places";
import { addPath } from "../state/side-files";

/** Files and recordings of this machine, opened where they lie. */
export function Places() {
  useEffect(() => void loadPlaces(), []);
  const known = places.value;
  if (!known) return null;
  const { roots, recent, recordings } = known;
  return (
    <section class="section places" aria-labelledby="places">
      <h2 id="places">On this machine</h2>
      {roots.length === 0 && recent.length === 0 && recordings.length === 0 && (
        <p class="soft">
          Started as <code>outgrow web --root FOLDER</code>, the page opens what lies in that folder without sending it.
        </p>
      )}
      {folder.value ? <FolderView /> : roots.length > 0 && <Roots roots={roots} />}
      <Entries title="Recordings" entries={recordings} />
      <Entries title="Lately" entries={recent} />
    </section>
  );
}

function Roots({ roots }: { roots: string[] }) {
  return (
    <ul class="entries">
      {roots.map((root) => (
        <li key={root}>
          <button type="button" class="link" onClick={() => void openFolder(root)}>
            {root}
          </button>
        </li>
      ))}
    </ul>
  );
}

function FolderView() {
  const shown = folder.value;
  if (!shown) return null;
  const { parent } = shown;
  return (
    <div class="folder">
      <p class="crumbs">
        <button type="button" onClick={() => (parent === null ? leaveFolder() : void openFolder(parent))}>
          ↑ Up
        </button>
        <code>{shown.path}</code>
      </p>
      {shown.entries.length === 0 ? <p class="soft">Nothing in here.</p> : <Entries title="" entries={shown.entries} />}
      {shown.left_out > 0 && <p class="soft">and {plural(shown.left_out, "more entry", "more entries")}</p>}
    </div>
  );
}

function Entries({ title, entries }: { title: string; entries: readonly PlaceEntry[] }) {
  if (entries.length === 0) return null;
  return (
    <>
      {title && <h3>{title}</h3>}
      <ul class="entries">
        {entries.map((entry) => (
          <Entry key={entry.path} entry={entry} />
        ))}
      </ul>
    </>
  );
}

function Entry({ entry }: { entry: PlaceEntry }) {
  const { kind } = entry;
  return (
    <li data-testid="place-entry">
      {kind === "folder" ? (
        <button type="button" class="link name" onClick={() => void openFolder(entry.path)}>
          {entry.name}/
        </button>
      ) : (
        <span class="name" title={entry.path}>
          {entry.name}
        </span>
      )}
      <span class="soft small">
        {[kind === "recording" ? "recording" : "", entry.bytes > 0 ? bytesText(entry.bytes) : "", agoText(Date.now() / 1000 - entry.changed)]
          .filter(Boolean)
          .join(", ")}
      </span>
      {kind !== "other" && (
        <span class="as">
          <button type="button" aria-label={`${entry.name} as expected`} onClick={() => void addPath("expected", entry.path)}>
            Expected
          </button>
          <button type="button" aria-label={`${entry.name} as actual`} onClick={() => void addPath("actual", entry.path)}>
            Actual
          </button>
        </span>
      )}
    </li>
  );
}

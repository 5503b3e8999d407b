
import type { SideName } from "../api/types";
import { bytesText } from "../state/format";
import { session, sides } from "../state/page-state";
import { isUsed, keepFiles } from "../state/side-files";
import { send, sendings } from "../state/uploads";
import { dropTarget } from "./drop-target";
import { pickedFiles, type Named } from "./dropped-files";
import { FileList } from "./file-list";
import { SendingLine } from "./sending-line";

export const SIDE_TITLES: Record<SideName, { title: string; about: string }> = {
  expected: { title: "Expected", about: "the run that is right" },
  actual: { title: "Actual", about: "the run in question" },
};

/** A folder may have thousands of files. */
const MOST_SENDING = 8;

/** Where files of one side are dropped or picked; `drop-target.ts` takes what is dropped. */
export function DropZone({ side }: { side: SideName }) {
  const items = sides.value[side];
  const mine = sendings.value.filter((one) => one.side === side);
  const { title, about } = SIDE_TITLES[side];
  const most = session.value?.limits.max_upload_bytes;
  const isEmpty = items.length === 0 && mine.length === 0;

  return (
    <section
      class={`zone${dropTarget.value === side ? " over" : ""}${isEmpty ? " empty" : ""}`}
      data-testid={`drop-${side}`}
      data-side={side}
      aria-labelledby={`zone-${side}`}
    >
      <h2 id={`zone-${side}`}>
        {title} <small>{about}</small>
      </h2>
      <FileList side={side} />
      {mine.length > 0 && (
        <ul class="files">
          {mine.slice(0, MOST_SENDING).map((one) => (
            <SendingLine key={one.key} sending={one} />
          ))}
          {mine.length > MOST_SENDING && <li class="soft small">and {(mine.length - MOST_SENDING).toLocaleString("en")} more</li>}
        </ul>
      )}
      <div class="invite">
        {isEmpty && <DropSign />}
        <p>
          {isEmpty ? "Drop files or a folder here, or pick " : isUsed.value[side] ? "Drop others instead, or pick " : "Drop more (ranks, parts), or pick "}
          <label class="pick">
            files
            <input
              class="unseen"
              type="file"
              multiple
              aria-label={`Pick files of the ${side} run`}
              onChange={(event) => {
                send(side, pickedFiles(event.currentTarget.files));
                // So that the same file can be picked again.
                event.currentTarget.value = "";
              }}
            />
          </label>{" "}
          or{" "}
          <button type="button" class="link" onClick={() => pickFolder((files) => send(side, files))}>
            a folder
          </button>
          {!isEmpty && isUsed.value[side] && (
            <>
              .{" "}
              <button type="button" class="link small" onClick={() => keepFiles(side)}>
                Add to these
              </button>
            </>
          )}
        </p>
        {isEmpty && most !== undefined && <p class="small soft">Up to {bytesText(most)} a file</p>}
      </div>
    </section>
  );
}

/** Ask the browser for a folder. Its field is made for the purpose: one field of the zone is enough for whoever fills it by a script. */
function pickFolder(take: (files: Named[]) => void): void {
  const field = document.createElement("input");
  field.type = "file";
  field.webkitdirectory = true;
  field.addEventListener("change", () => take(pickedFiles(field.files)));
  field.click();
}

function DropSign() {
  return (
    <svg class="drop-sign" width="34" height="34" viewBox="0 0 24 24" aria-hidden="true">
      <path
        d="M12 3v11M7.500 9.500L12 14l4.500-4.500M4 15v3.500A2.500 2.500 0 0 0 6.500 21h11a2.500 2.500 0 0 0 2.500-2.500V15"
        fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"
      />
    </svg>
  );
}

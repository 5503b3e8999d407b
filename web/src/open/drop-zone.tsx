import { useSignal } from "@preact/signals";

import type { SideName } from "../api/types";
import { report } from "../state/banner";
import { bytesText } from "../state/format";
import { session, sides } from "../state/page-state";
import { send, sendings } from "../state/uploads";
import { entriesOf, filesOf, pickedFiles, type Named } from "./dropped-files";
import { FileList } from "./file-list";
import { SendingLine } from "./sending-line";

export const SIDE_TITLES: Record<SideName, { title: string; about: string }> = {
  expected: { title: "Expected", about: "the run that is right" },
  actual: { title: "Actual", about: "the run in question" },
};

/** Where files of one side are dropped or picked. `isOver`: what is dragged over the window would land here. */
export function DropZone({ side, isOver }: { side: SideName; isOver: boolean }) {
  const isInside = useSignal(0);
  const items = sides.value[side];
  const mine = sendings.value.filter((one) => one.side === side);
  const { title, about } = SIDE_TITLES[side];
  const most = session.value?.limits.max_upload_bytes;
  const isEmpty = items.length === 0 && mine.length === 0;

  const take = async (data: DataTransfer) => {
    try {
      send(side, await filesOf(entriesOf(data)));
    } catch (error) {
      report(error);
    }
  };
  return (
    <section
      class={`zone${isOver || isInside.value > 0 ? " over" : ""}${isEmpty ? " empty" : ""}`}
      data-testid={`drop-${side}`}
      aria-labelledby={`zone-${side}`}
      onDragEnter={() => (isInside.value += 1)}
      onDragLeave={() => (isInside.value = Math.max(0, isInside.value - 1))}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        event.stopPropagation();
        isInside.value = 0;
        window.dispatchEvent(new Event("outgrow-dropped"));
        if (event.dataTransfer) void take(event.dataTransfer);
      }}
    >
      <h2 id={`zone-${side}`}>
        {title} <small>{about}</small>
      </h2>
      <FileList side={side} />
      {mine.length > 0 && (
        <ul class="files">
          {mine.map((one) => (
            <SendingLine key={one.key} sending={one} />
          ))}
        </ul>
      )}
      <div class="invite">
        {isEmpty && <DropSign />}
        <p>
          {isEmpty ? "Drop files or a folder here, or pick " : "Drop more (ranks, parts), or pick "}
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

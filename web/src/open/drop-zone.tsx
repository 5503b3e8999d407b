import { useSignal } from "@preact/signals";

import { upload } from "../api/client";
import type { SideName } from "../api/types";
import { report } from "../state/banner";
import { bytesText } from "../state/format";
import { sides } from "../state/page-state";

const TITLES: Record<SideName, string> = { expected: "Expected: the run that is right", actual: "Actual: the run in question" };

/** Where files of one side are dropped or picked. */
export function DropZone({ side }: { side: SideName }) {
  const sent = useSignal<number | null>(null);

  async function take(files: FileList | null): Promise<void> {
    for (const file of files ?? []) {
      try {
        sent.value = 0;
        const item = await upload(side, file, (bytes) => (sent.value = bytes / file.size), new AbortController().signal);
        sides.value = { ...sides.value, [side]: [...sides.value[side], item] };
      } catch (error) {
        report(error);
      } finally {
        sent.value = null;
      }
    }
  }

  return (
    <section
      class="zone"
      data-testid={`drop-${side}`}
      aria-label={TITLES[side]}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void take(event.dataTransfer?.files ?? null);
      }}
    >
      <h2>{TITLES[side]}</h2>
      <label>
        Pick files <input type="file" multiple onChange={(event) => void take(event.currentTarget.files)} />
      </label>
      {sent.value !== null && <progress data-testid="upload-progress" max={1} value={sent.value} />}
      <ul>
        {sides.value[side].map((item) => (
          <li key={item.id}>
            {item.name} <small>{bytesText(item.bytes)}</small>
          </li>
        ))}
      </ul>
    </section>
  );
}

import { bytesText } from "../state/format";
import { drop, sendAgain, type Sending } from "../state/uploads";

/** One file on its way, or why it was refused. */
export function SendingLine({ sending }: { sending: Sending }) {
  const { key, file, state, sent } = sending;
  if (state === "refused") {
    return (
      <li class="file refused" data-testid="refused-file">
        <span class="name" title={file.name}>
          {file.name}
        </span>
        <span class="why">
          {sending.error} {sending.hint && <span class="soft">{sending.hint}</span>}
        </span>
        <button type="button" class="quiet" onClick={() => sendAgain(key)}>
          Try again
        </button>
        <button type="button" class="quiet icon" aria-label={`Take ${file.name} off the page`} onClick={() => drop(key)}>
          ✕
        </button>
      </li>
    );
  }
  return (
    <li class="file">
      <span class="name" title={file.name}>
        {file.name}
      </span>
      <span class="soft small">{state === "waiting" ? "waits" : `${bytesText(sent)} of ${bytesText(file.size)}`}</span>
      <button type="button" class="quiet icon" aria-label={`Cancel ${file.name}`} title="Cancel" onClick={() => drop(key)}>
        ✕
      </button>
      <progress aria-label={file.name} max={file.size || 1} value={sent} />
    </li>
  );
}

import { bytesText } from "../state/format";
import { drop, sendAgain, type Sending } from "../state/uploads";

/** One file on its way, or why it was refused. */
export function SendingLine({ sending }: { sending: Sending }) {
  const { key, file, path, state, sent } = sending;
  if (state === "refused") {
    return (
      <li class="file refused" data-testid="refused-file">
        <span class="name" title={path}>
          {path}
        </span>
        <span class="why">
          {sending.error} {sending.hint && <span class="soft">{sending.hint}</span>}
        </span>
        <button type="button" class="quiet" onClick={() => sendAgain(key)}>
          Try again
        </button>
        <button type="button" class="quiet icon" aria-label={`Take ${path} off the page`} onClick={() => drop(key)}>
          ✕
        </button>
      </li>
    );
  }
  return (
    <li class="file">
      <span class="name" title={path}>
        {path}
      </span>
      <span class="soft small">{state === "waiting" ? "waits" : `${bytesText(sent)} of ${bytesText(file.size)}`}</span>
      <button type="button" class="quiet icon" aria-label={`Cancel ${path}`} title="Cancel" onClick={() => drop(key)}>
        ✕
      </button>
      <progress aria-label={path} max={file.size || 1} value={sent} />
    </li>
  );
}

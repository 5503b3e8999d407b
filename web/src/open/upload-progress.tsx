import { bytesText, plural } from "../state/format";
import { burst, dropAll, rate, underway } from "../state/uploads";
import { remainingText } from "./upload-rate";

/** All files on their way together: bytes, speed, and a way to stop. */
export function UploadProgress() {
  const count = underway.value.length;
  if (count === 0) return null;
  const { sent, total } = burst.value;
  const speed = rate.value;
  return (
    <section class="card comparing" aria-label="Sending">
      <div class="line">
        <strong>Sending {plural(count, "file")}…</strong>
        <span class="soft figures">
          {bytesText(sent)} of {bytesText(total)}
          {speed !== null && `, ${bytesText(Math.round(speed))}/s`} {remainingText(total - sent, speed)}
        </span>
        <button type="button" onClick={dropAll}>
          Cancel
        </button>
      </div>
      <progress data-testid="upload-progress" aria-label="Sent" max={total || 1} value={sent} />
    </section>
  );
}

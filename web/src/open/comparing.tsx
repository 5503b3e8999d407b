import { bytesText } from "../state/format";
import { cancel, status } from "../state/page-state";

/** How far the comparison is. */
export function Comparing() {
  const now = status.value;
  const what = now.state === "opening" ? "Opening" : "Comparing";
  return (
    <section class="card comparing" aria-label="Comparing" data-testid="comparing">
      <div class="line">
        <strong>{what}…</strong>
        <span class="mono item soft">{now.item ?? ""}</span>
        <span class="soft figures">{now.total > 0 && `${bytesText(now.done)} of ${bytesText(now.total)}`}</span>
        <button type="button" onClick={() => void cancel()}>
          Cancel
        </button>
      </div>
      {now.total > 0 ? <progress aria-label={what} max={now.total} value={Math.min(now.done, now.total)} /> : <progress aria-label={what} />}
    </section>
  );
}

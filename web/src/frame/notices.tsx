import { announced } from "../state/announce";
import { banner } from "../state/banner";
import { connection } from "../state/connection";
import { retry } from "../state/session";
import { Sign } from "../style/sign";

/** What went wrong, whether the server is away, and the line that screen readers hear. */
export function Notices() {
  return (
    <>
      {connection.value === "offline" && <Away />}
      {banner.value && <BannerLine />}
      <p class="unseen" role="status" aria-live="polite">
        {announced.value}
      </p>
    </>
  );
}

function BannerLine() {
  const shown = banner.value;
  if (!shown) return null;
  const isWord = shown.kind === "word";
  return (
    <div class={isWord ? "banner word" : "banner"} role={isWord ? "status" : "alert"} data-testid="error-banner">
      <Sign of={isWord ? "word" : "refused"} size={22} />
      <p>
        {shown.message} {shown.hint && <span class="hint">{shown.hint}</span>}
      </p>
      <button type="button" class="quiet" onClick={() => (banner.value = null)}>
        Close
      </button>
    </div>
  );
}

function Away() {
  return (
    <div class="banner word" role="status" data-testid="away-banner">
      <span class="turning" aria-hidden="true" />
      <p>
        The server does not answer.{" "}
        <span class="hint">
          Is <code>outgrow web</code> still running? The page tries again every two seconds.
        </span>
      </p>
      <button type="button" class="quiet" onClick={() => void retry()}>
        Try now
      </button>
    </div>
  );
}

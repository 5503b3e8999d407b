import { useSignal } from "@preact/signals";

import { currentToken } from "../api/client";
import { unlock } from "../state/session";

/** Asks for the token where the address brought none, or a wrong one. */
export function Unlock() {
  const token = useSignal("");
  const isWrong = useSignal(currentToken() !== "");
  return (
    <main class="screen" id="main" tabIndex={-1}>
      <div class="open unlock">
        <h1>This page needs its token</h1>
        <p>
          Open the address that <code>outgrow web</code> has printed. It ends in <code>#token=…</code>, and the part behind the equals sign can
          be given here, too.
        </p>
        {isWrong.value && (
          <p role="alert" class="fault">
            The token that was given is not the server's. Each time it is started it has another one.
          </p>
        )}
        <form
          class="card"
          onSubmit={(event) => {
            event.preventDefault();
            const given = token.value.trim();
            isWrong.value = false;
            void unlock(given.slice(given.lastIndexOf("token=") + (given.includes("token=") ? 6 : 1))).then(() => (isWrong.value = true));
          }}
        >
          <label>
            Token
            <input type="password" autocomplete="off" value={token.value} onInput={(event) => (token.value = event.currentTarget.value)} />
          </label>
          <button type="submit" class="primary" disabled={token.value.trim() === ""}>
            Open
          </button>
        </form>
      </div>
    </main>
  );
}

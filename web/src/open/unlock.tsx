import { useState } from "preact/hooks";

import { unlock } from "../state/page-state";

/** Asks for the token where the address brought none. */
export function Unlock() {
  const [token, setToken] = useState("");
  return (
    <main class="open">
      <h1>This page needs its token</h1>
      <p>Open the address that <code>outgrow web</code> printed, or give the part behind <code>#token=</code>.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void unlock(token.trim());
        }}
      >
        <label>
          Token <input type="password" value={token} onInput={(event) => setToken(event.currentTarget.value)} />
        </label>
        <button type="submit">Open</button>
      </form>
    </main>
  );
}

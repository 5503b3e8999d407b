/** Whether the server answers and knows this tab. `session.ts` acts on it. */

import { signal } from "@preact/signals";

import type { ApiFailure } from "../api/client";

/** `offline`: no answer; `forgotten`: the tab is not known any more; `locked`: the token is missing or wrong. */
export type Connection = "good" | "offline" | "forgotten" | "locked";

export const connection = signal<Connection>("good");

/** What a refusal says about the connection: null where it is about something else. */
export function connectionOf(failure: Pick<ApiFailure, "status" | "code">): Connection | null {
  if (failure.code === "offline") return "offline";
  if (failure.code === "session") return "forgotten";
  return failure.status === 401 ? "locked" : null;
}

/** Whether the refusal was about the connection, which is then known to be lost. */
export function loseConnection(failure: ApiFailure): boolean {
  const found = connectionOf(failure);
  if (found) connection.value = found;
  return found !== null;
}

/** Calls of the server: the token and the session go with each of them. */

import type {
  Counts, Detail, Folder, Found, Item, MapRule, Mapping, MappingCheck, OwnFigures, Places, Rows, SessionInfo, Several, SideName, Status,
  TileHead, Values, Verdict, Window,
} from "./types";

const TOKEN = "outgrow.token";
const SESSION = "outgrow.session";
const CLAIM_MS = 1500;

/** What the server refused: a message for people, what they can do, and a code for the page. */
export class ApiFailure extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly hint: string | null,
  ) {
    super(message);
  }
}

/** Whether a call was about a comparison whose place another one has taken, or is about to take. */
export function isOutdated(error: unknown): boolean {
  return error instanceof ApiFailure && (error.code === "gone" || error.code === "not-ready");
}

let token = sessionStorage.getItem(TOKEN) ?? "";
let session = sessionStorage.getItem(SESSION) ?? "";

/** Keep a token for this tab; it is not shown in the address any more. */
export function keepToken(given: string): void {
  token = given;
  sessionStorage.setItem(TOKEN, given);
}

export function currentToken(): string {
  return token;
}

let comparison: number | null = null;

/** Say which comparison calls are about, by its revision: rows of another one have other numbers. */
export function meanComparison(revision: number | null): void {
  comparison = revision;
}

function headers(): Record<string, string> {
  const found: Record<string, string> = { Authorization: `Bearer ${token}` };
  if (session) found["X-Outgrow-Session"] = session;
  if (comparison !== null) found["X-Outgrow-Revision"] = String(comparison);
  return found;
}

async function failure(response: Response): Promise<ApiFailure> {
  try {
    const { error } = (await response.json()) as { error: { message: string; hint: string | null; code: string } };
    return new ApiFailure(error.message, response.status, error.code, error.hint);
  } catch {
    return new ApiFailure(`the server answered ${response.status}`, response.status, "unknown", null);
  }
}

const running = new Set<Promise<unknown>>();

/** When the calls for numbers that are away are back, or after a while: before rows become others. */
export async function numbersAreBack(patience = 2000): Promise<void> {
  await Promise.race([Promise.allSettled(running), new Promise((done) => setTimeout(done, patience))]);
}

async function send(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  const call = fetch(`/api${path}`, { ...options, headers: { ...headers(), ...options.headers } });
  if (path.startsWith("/rows/")) {
    running.add(call);
    const isBack = () => running.delete(call);
    call.then(isBack, isBack);
  }
  try {
    response = await call;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiFailure("the server does not answer", 0, "offline", "is `outgrow web` still running?");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function ask<T>(path: string, options: RequestInit = {}): Promise<T> {
  return (await (await send(path, options)).json()) as T;
}

function body(method: string, content: unknown, signal?: AbortSignal): RequestInit {
  const made: RequestInit = {
    method,
    body: JSON.stringify(content),
    headers: { "Content-Type": "application/json" },
  };
  if (signal) made.signal = signal;
  return made;
}

/** The tab's session; a new one where it had none, the server has forgotten it, or another tab lives in it. */
export async function openSession(): Promise<SessionInfo> {
  let info: SessionInfo;
  if (session && !(await claim(session))) session = "";
  try {
    info = await ask<SessionInfo>("/session");
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== "session") throw error;
    session = "";
    info = await ask<SessionInfo>("/session");
  }
  session = info.session;
  sessionStorage.setItem(SESSION, session);
  await claim(session);
  return info;
}

const claimed = new Set<string>();

/** Take a session for this tab alone: a browser that doubles a tab copies what the tab has stored. */
function claim(id: string): Promise<boolean> {
  if (claimed.has(id) || !("locks" in navigator)) return Promise.resolve(true);
  return new Promise((resolve) => {
    // After a reload it can take a moment until the page of before has let go.
    navigator.locks
      .request(`outgrow-${id}`, { signal: AbortSignal.timeout(CLAIM_MS) }, () => {
        claimed.add(id);
        resolve(true);
        return new Promise<void>(() => undefined);
      })
      .catch(() => resolve(false));
  });
}

/** Tell that this page goes away; a page that is loaded again calls at once. */
export function leave(): void {
  if (!session || !token) return;
  // Nobody is left to hear whether it arrived.
  fetch("/api/session/leave", { method: "POST", headers: headers(), keepalive: true }).catch(() => undefined);
}

/** Send a file under a name, folders included; `progress` hears of the bytes that are on their way. */
export function upload(
  side: SideName, file: File, name: string, progress: (sent: number) => void, signal: AbortSignal,
): Promise<Item> {
  // fetch() cannot tell how far an upload is.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/sides/${side}/uploads?name=${encodeURIComponent(name)}`);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      const response = new Response(request.responseText, { status: request.status });
      if (response.ok) response.json().then((item) => resolve(item as Item), reject);
      else failure(response).then(reject);
    };
    request.onerror = () => reject(new ApiFailure("the upload was cut off", 0, "offline", "try again"));
    request.onabort = () => reject(new ApiFailure("the upload was cancelled", 0, "cancelled", null));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

export const removeItem = (side: SideName, id: string) =>
  send(`/sides/${side}/${encodeURIComponent(id)}`, { method: "DELETE" }).then(() => undefined);
export const addPath = (side: SideName, path: string) => ask<Item>(`/sides/${side}/paths`, body("POST", { path }));

/** Their order, and what several files of a side are. */
export const putSide = (side: SideName, items: string[], as: Several) =>
  ask<{ items: Item[]; as: Several }>(`/sides/${side}`, body("PUT", { items, as }));
export const swapSides = () => ask<Pick<SessionInfo, "sides" | "as">>("/sides/swap", body("POST", {}));

export const getPlaces = () => ask<Places>("/places");
export const getFolder = (path: string) => ask<Folder>(`/places?path=${encodeURIComponent(path)}`);

export const startComparison = (settings: object = {}) => ask<Status>("/comparison", body("POST", settings));
export const cancelComparison = () => ask<Status>("/comparison", { method: "DELETE" });
export const getStatus = () => ask<Status>("/comparison");
export const waitForStatus = (after: number) => ask<Status>(`/comparison?after=${after}`);

export const getVerdict = () => ask<Verdict>("/verdict");
export const getRows = () => ask<Rows>("/rows");
export const getDetail = (row: number) => ask<Detail>(`/rows/${row}`);

export const getValues = (row: number, window: Window, signal?: AbortSignal) =>
  ask<Values>(`/rows/${row}/values`, body("POST", window, signal));

export async function getTile(
  row: number,
  request: Window & { which: "expected" | "actual" | "difference"; max_height: number; max_width: number },
  signal?: AbortSignal,
): Promise<{ head: TileHead; values: Float32Array }> {
  const response = await send(`/rows/${row}/tile`, body("POST", request, signal));
  const head = JSON.parse(response.headers.get("X-Outgrow-Tile") ?? "{}") as TileHead;
  return { head, values: new Float32Array(await response.arrayBuffer()) };
}

export const find = (row: number, request: object, signal?: AbortSignal) =>
  ask<Found>(`/rows/${row}/find`, body("POST", request, signal));

export const getHistogram = (row: number, request: object, signal?: AbortSignal) =>
  ask<Counts>(`/rows/${row}/histogram`, body("POST", request, signal));

export const getStatistics = (row: number, signal?: AbortSignal) =>
  ask<OwnFigures>(`/rows/${row}/statistics`, signal ? { signal } : {});

export const getMapping = (isWhole = false) => ask<Mapping>(`/mapping${isWhole ? "?whole=true" : ""}`);
export const putMapping = (rules: MapRule[]) => ask<Status>("/mapping", body("PUT", { rules }));
export const checkMapping = (request: MapRule & { pieces?: number[][]; order?: number[][] }, signal?: AbortSignal) =>
  ask<MappingCheck>("/mapping/check", body("POST", request, signal));

/** A file that the server makes; links cannot carry the token. */
export async function getReport(kind: "html" | "json"): Promise<Blob> {
  return (await send(`/report.${kind}`)).blob();
}

/** Where one is. Its fields are the fragment of the address, so that a reload or a link leads to the same view. */

import { computed, effect, signal } from "@preact/signals";

import { keepToken } from "../api/client";
import { parsePlace, placeText, type Place } from "./link";
import { WriteCredit } from "./write-credit";

export const place = signal<Place>({});
export const selectedRow = computed(() => place.value.row ?? null);
/** Whether the two drop zones are shown although something is compared. */
export const isOpening = computed(() => place.value["view"] === "open");

/** Steps of the browser's history stand apart by so much, so that going down a list is one of them. */
const STEP_MS = 1500;

/** Go to a row, or to none (the verdict). */
export function select(row: number | null): void {
  // Another tensor has other indices.
  const { row: _, at: __, "actual-at": ___, zoom: ____, view: _____, ...rest } = place.value;
  place.value = row === null ? rest : { ...rest, row };
}

/** Change where one is, beside the row; `undefined` takes a field away. */
export function move(changes: Place): void {
  place.value = { ...place.value, ...changes };
}

/** Show the drop zones, or go back from them. */
export function showOpen(isShown: boolean): void {
  move({ view: isShown ? "open" : undefined });
}

/** Take the token out of the address, and keep the address and `place` the same from now on. `unlocked` hears of a later token. */
export function followAddress(unlocked: () => void): void {
  let before: Place = {};
  let isListening = false;
  let stepped = 0;
  const credit = new WriteCredit();
  let pending: ReturnType<typeof setTimeout> | undefined;
  const write = (): void => {
    clearTimeout(pending);
    const text = placeText(place.peek());
    if (text !== location.hash) history.replaceState(null, "", text || location.pathname);
  };
  const read = (): void => {
    const { token, place: found } = parsePlace(location.hash);
    if (token) {
      keepToken(token);
      history.replaceState(null, "", placeText(found) || location.pathname);
      if (isListening) unlocked();
    }
    clearTimeout(pending);
    before = found;
    place.value = found;
  };
  read();
  isListening = true;
  window.addEventListener("hashchange", read);
  window.addEventListener("popstate", read);
  window.addEventListener("pagehide", write);
  effect(() => {
    const now = place.value;
    const text = placeText(now);
    clearTimeout(pending);
    if (text === location.hash) return;
    const isStep = (now.row !== before.row || now["view"] !== before["view"]) && Date.now() - stepped > STEP_MS;
    before = now;
    if (isStep) {
      stepped = Date.now();
      history.pushState(null, "", text || location.pathname);
    } else if (credit.take(Date.now())) write();
    else pending = setTimeout(write, credit.restMs);
  });
}

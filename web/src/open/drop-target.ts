import { signal } from "@preact/signals";

import type { SideName } from "../api/types";
import { report } from "../state/banner";
import { connection } from "../state/connection";
import { isOpening, showOpen, verdict } from "../state/page-state";
import { send } from "../state/uploads";
import { entriesOf, filesOf } from "./dropped-files";

/** Where what is dragged over the window would land; null while nothing is. */
export const dropTarget = signal<SideName | null>(null);

/** Files may be dropped anywhere: on a zone, else left of the middle as expected and right of it as actual. */
export function listenToDrops(): void {
  let inside = 0;
  const clear = () => {
    inside = 0;
    dropTarget.value = null;
  };
  window.addEventListener("dragenter", () => (inside += 1));
  window.addEventListener("dragleave", () => {
    inside -= 1;
    if (inside <= 0) clear();
  });
  window.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (connection.peek() !== "locked") dropTarget.value = sideOf(event);
  });
  window.addEventListener("drop", (event) => {
    clear();
    if (!event.dataTransfer?.types.includes("Files")) return;
    // Otherwise the browser would leave the page and show the file.
    event.preventDefault();
    if (connection.peek() !== "locked") void take(event.dataTransfer, sideOf(event));
  });
}

/** While two runs are looked at, what is dropped takes the place of one of them. */
async function take(data: DataTransfer, side: SideName): Promise<void> {
  const entries = entriesOf(data);
  try {
    if (verdict.peek() && !isOpening.peek()) showOpen(true);
    send(side, await filesOf(entries));
  } catch (error) {
    report(error);
  }
}

function sideOf(event: DragEvent): SideName {
  const zone = event.target instanceof Element ? event.target.closest("[data-side]") : null;
  const named = zone?.getAttribute("data-side");
  if (named === "expected" || named === "actual") return named;
  return event.clientX < window.innerWidth / 2 ? "expected" : "actual";
}

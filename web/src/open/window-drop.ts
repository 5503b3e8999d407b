import { useEffect, useState } from "preact/hooks";

import type { SideName } from "../api/types";
import { report } from "../state/banner";
import { send } from "../state/uploads";
import { entriesOf, filesOf } from "./dropped-files";

/** Files may be dropped anywhere: left of the middle they are expected, right of it actual. Says where they would land. */
export function useWindowDrop(): SideName | null {
  const [over, setOver] = useState<SideName | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    const on = { signal: stop.signal };
    let inside = 0;
    const clear = () => {
      inside = 0;
      setOver(null);
    };
    window.addEventListener("dragenter", () => (inside += 1), on);
    window.addEventListener("dragleave", () => (inside -= 1) <= 0 && clear(), on);
    window.addEventListener(
      "dragover",
      (event) => {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        setOver(sideOf(event));
      },
      on,
    );
    window.addEventListener(
      "drop",
      (event) => {
        clear();
        if (!event.dataTransfer?.types.includes("Files")) return;
        // Otherwise the browser would leave the page and show the file.
        event.preventDefault();
        const side = sideOf(event);
        filesOf(entriesOf(event.dataTransfer)).then((files) => send(side, files), report);
      },
      on,
    );
    // A zone that has taken the drop for itself.
    window.addEventListener("outgrow-dropped", clear, on);
    return () => stop.abort();
  }, []);
  return over;
}

function sideOf(event: DragEvent): SideName {
  const zone = event.target instanceof Element ? event.target.closest("[data-testid^=drop-]") : null;
  if (zone) return zone.getAttribute("data-testid") === "drop-actual" ? "actual" : "expected";
  return event.clientX < window.innerWidth / 2 ? "expected" : "actual";
}

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { currentToken, getReport, isOutdated } from "../api/client";
import { announce } from "../state/announce";
import { report, tell } from "../state/banner";
import { place } from "../state/page-state";
import { saveFile } from "./save-file";
import { linkTo } from "./share-link";

/** Send a report to the browser's downloads. */
export async function exportReport(kind: "html" | "json"): Promise<void> {
  try {
    announce("Making the report");
    saveFile(await getReport(kind), `outgrow-compare.${kind}`);
    announce("The report is in the downloads");
  } catch (error) {
    if (isOutdated(error)) tell("The report was not made.", "Something else is compared now: ask for it again when that is done.");
    else report(error);
  }
}

async function copyLink(token: string | null): Promise<void> {
  const link = linkTo(location.origin, place.peek(), token);
  try {
    await navigator.clipboard.writeText(link);
  } catch {
    // Browsers ask, and people may say no.
    tell("The browser does not let the page copy. This is the link:", link);
    return;
  }
  tell(
    "The link is copied.",
    token ? "Whoever has it can read what this server may read." : "It works in this browser tab, or where the token is known.",
  );
}

/** The report as a file, and the rest behind a button. */
export function ExportMenu() {
  const isOpen = useSignal(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isOpen.value) return;
    const close = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) isOpen.value = false;
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("focusin", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("focusin", close);
    };
  }, [isOpen.value]);
  const pick = (act: () => Promise<void>) => () => {
    isOpen.value = false;
    void act();
  };
  return (
    <>
      <button type="button" data-testid="export-html" title="The whole comparison as one HTML file (e)" onClick={() => void exportReport("html")}>
        Export HTML
      </button>
      <div
        class="menu"
        ref={root}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || !isOpen.value) return;
          event.stopPropagation();
          isOpen.value = false;
          root.current?.querySelector("button")?.focus();
        }}
      >
        <button type="button" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
          Share
        </button>
        {isOpen.value && (
          <div class="list-of">
            <button type="button" data-testid="export-json" onClick={pick(() => exportReport("json"))}>
              Save as JSON <small>Every pair with its figures, for programs</small>
            </button>
            <button type="button" data-testid="copy-link" onClick={pick(() => copyLink(null))}>
              Copy link to this view <small>Without the token: for whoever has the page open</small>
            </button>
            <button type="button" data-testid="copy-link-token" onClick={pick(() => copyLink(currentToken()))}>
              Copy link with token <small>Opens anywhere on this machine: give it to nobody you would not give the data</small>
            </button>
          </div>
        )}
      </div>
    </>
  );
}

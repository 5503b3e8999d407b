import { effect } from "@preact/signals";

import { detail, isOpening, verdict } from "../state/page-state";

const NAME = "outgrow compare";
const WORDS = { match: "They match", differ: "They differ", insufficient: "Too little to say" } as const;

/** The title of the tab says where one is: among many tabs nothing else does. */
export function keepTitle(): void {
  effect(() => {
    const found = verdict.value;
    const shown = detail.value;
    if (!found || isOpening.value) document.title = NAME;
    else if (shown) document.title = `${shown.expected?.name ?? shown.actual[0]?.name ?? "tensor"} · ${NAME}`;
    else document.title = `${WORDS[found.verdict]} · ${NAME}`;
  });
}

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

import { listWidth, setListWidth, widthLimits } from "../state/list-width";

const STEPS: Record<string, number> = { ArrowLeft: -16, ArrowRight: 16, PageDown: -96, PageUp: 96, Home: -Infinity, End: Infinity };

/** The edge of the list: dragged, or moved with the arrows; a double click gives back the width it had. */
export function ListSplitter() {
  const edge = useRef<HTMLDivElement>(null);
  const isDragging = useSignal(false);
  const [least, most] = widthLimits(innerWidth);
  const widthNow = (): number => edge.current?.parentElement?.clientWidth ?? least;

  return (
    <div
      ref={edge}
      class={isDragging.value ? "splitter dragging" : "splitter"}
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the list"
      aria-valuemin={least}
      aria-valuemax={most}
      aria-valuenow={listWidth.value ?? 380}
      aria-valuetext={listWidth.value === null ? "as it suits the window" : `${listWidth.value} pixels`}
      tabIndex={0}
      data-testid="list-splitter"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        isDragging.value = true;
      }}
      onPointerMove={(event) => {
        if (!isDragging.value) return;
        const left = event.currentTarget.parentElement?.getBoundingClientRect().left ?? 0;
        setListWidth(event.clientX - left);
      }}
      onPointerUp={() => (isDragging.value = false)}
      onPointerCancel={() => (isDragging.value = false)}
      onDblClick={() => setListWidth(null)}
      onKeyDown={(event) => {
        const step = STEPS[event.key];
        if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
        setListWidth(widthNow() + step);
        event.preventDefault();
        event.stopPropagation();
      }}
    />
  );
}

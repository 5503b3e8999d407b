/** Which entries of a long list are drawn: a thin hook around the virtualizer, for rows of one height. */

import {
  Virtualizer, defaultRangeExtractor, elementScroll, observeElementOffset, observeElementRect, type Range, type VirtualItem,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useReducer, useState } from "preact/hooks";

export interface VirtualRows {
  items: VirtualItem[];
  height: number;
  /** The first entry in view. */
  first: number;
  /** How many fit into the view. */
  page: number;
  reveal(index: number, align?: "auto" | "center"): void;
}

interface Asked {
  count: number;
  rowHeight: number;
  scroller: RefObject<HTMLElement | null>;
  /** Covered at the top by the floating header. */
  covered: number;
  /** An entry that is always drawn, so that what points to it finds it; -1 for none. */
  kept: number;
}

export function useVirtualRows({ count, rowHeight, scroller, covered, kept }: Asked): VirtualRows {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const [rows] = useState(() => new Virtualizer<HTMLElement, HTMLElement>(options()));
  rows.setOptions(options());
  useLayoutEffect(() => rows._didMount(), []);
  useLayoutEffect(() => rows._willUpdate());
  useLayoutEffect(() => rows.measure(), [rowHeight]);

  function options() {
    return {
      count,
      getScrollElement: () => scroller.current,
      estimateSize: () => rowHeight,
      overscan: 12,
      scrollPaddingStart: covered,
      scrollToFn: elementScroll<HTMLElement>,
      observeElementRect,
      observeElementOffset,
      rangeExtractor: (range: Range) => withKept(defaultRangeExtractor(range), kept, count),
      onChange: () => redraw(undefined),
    };
  }

  const range = rows.range;
  return {
    items: rows.getVirtualItems(),
    height: rows.getTotalSize(),
    first: Math.floor((rows.scrollOffset ?? 0) / rowHeight),
    page: Math.max(1, (range ? range.endIndex - range.startIndex : 1) - 1),
    reveal: (index, align = "auto") => rows.scrollToIndex(index, { align }),
  };
}

function withKept(drawn: number[], kept: number, count: number): number[] {
  if (kept >= 0 && kept < count && (kept < (drawn[0] ?? 0) || kept > (drawn.at(-1) ?? -1))) drawn.push(kept);
  return drawn;
}

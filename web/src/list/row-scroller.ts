/** Follows the scrolling of a list of lines of one height. Reads the layout only when the browser has just made it. */

import { signal } from "@preact/signals";
import { useLayoutEffect, useState } from "preact/hooks";
import type { RefObject } from "preact";

import { pageRows, rowWindow, topFor, type RowWindow } from "./row-window";

interface Layout {
  count: number;
  rowHeight: number;
  /** Pixels at the top that the floating header covers. */
  covered: number;
}

export class RowScroller {
  readonly window = signal<RowWindow>({ from: 0, to: 0 });
  /** Pixels that are scrolled out of view. */
  readonly top = signal(0);
  private element: HTMLElement | null = null;
  private view = 0;
  private layout: Layout = { count: 0, rowHeight: 26, covered: 0 };

  /** Begin with an element; the answer ends it. */
  attach(element: HTMLElement): () => void {
    this.element = element;
    const onScroll = (): void => this.moved(element.scrollTop, this.view);
    const observer = new ResizeObserver((entries) => {
      this.moved(this.top.peek(), entries.at(-1)?.contentRect.height ?? this.view);
    });
    element.addEventListener("scroll", onScroll, { passive: true });
    observer.observe(element);
    this.moved(element.scrollTop, element.clientHeight);
    return () => {
      element.removeEventListener("scroll", onScroll);
      observer.disconnect();
    };
  }

  /** The list has other lines now. */
  fit(layout: Layout): void {
    this.layout = layout;
    this.moved(this.top.peek(), this.view);
  }

  reveal(index: number): void {
    const { rowHeight, covered } = this.layout;
    const top = topFor(index, this.top.peek(), this.view, rowHeight, covered);
    if (top === this.top.peek() || !this.element || this.view === 0) return;
    this.element.scrollTop = top;
    this.moved(top, this.view);
  }

  get page(): number {
    return pageRows(this.view, this.layout.rowHeight, this.layout.covered);
  }

  private moved(top: number, view: number): void {
    const { count, rowHeight } = this.layout;
    const within = Math.max(0, Math.min(top, count * rowHeight - view));
    this.view = view;
    const found = rowWindow(within, view, rowHeight, count);
    const now = this.window.peek();
    if (found.from !== now.from || found.to !== now.to) this.window.value = found;
    this.top.value = within;
  }
}

/** The scroller of an element, as long as it is shown. */
export function useRowScroller(ref: RefObject<HTMLElement | null>): RowScroller {
  const [scroller] = useState(() => new RowScroller());
  useLayoutEffect(() => (ref.current ? scroller.attach(ref.current) : undefined), []);
  return scroller;
}


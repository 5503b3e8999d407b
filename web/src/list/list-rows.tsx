import { useLayoutEffect, useRef } from "preact/hooks";

import { activeEntry, activeIndex, fit, groupOf, hasTwoNames, isGrouped, listing, query, revealed } from "../state/list-state";
import { rows, selectedRow } from "../state/page-state";
import { FloatingGroup, GroupLine } from "./group-line";
import { clickList, listKey, listKeyUp } from "./list-actions";
import { RowLine } from "./row-line";
import { useRowScroller } from "./row-scroller";

const [ONE_LINE, TWO_LINES, HEADER] = [26, 42, 26];

/** The lines of the list: those in view are drawn, on elements that are used again while it scrolls. */
export function ListRows() {
  const ref = useRef<HTMLDivElement>(null);
  const scroller = useRowScroller(ref);
  const shown = listing.value;
  const hasGroups = isGrouped.value;
  const rowHeight = hasTwoNames.value ? TWO_LINES : ONE_LINE;
  const count = shown.entries.length;
  useLayoutEffect(() => scroller.fit({ count, rowHeight, covered: hasGroups ? HEADER : 0 }), [count, rowHeight, hasGroups]);
  const asked = revealed.value;
  useLayoutEffect(() => {
    // Not when a group is closed: whoever looks elsewhere stays there.
    if (activeIndex.peek() >= 0) scroller.reveal(activeIndex.peek());
  }, [asked, fit.value, query.value.grouping, rowHeight]);

  const active = activeEntry.value;
  const index = activeIndex.value;
  return (
    <div class="list-rows">
      <FloatingGroup scrolled={scroller.top} rowHeight={rowHeight} height={HEADER} />
      <div
        class={hasTwoNames.value ? "scroller two-lines" : "scroller"}
        ref={ref}
        role={hasGroups ? "tree" : "listbox"}
        aria-label="Tensors"
        aria-activedescendant={index < 0 || active === null ? undefined : entryId(active)}
        tabIndex={0}
        onKeyDown={(event) => listKey(event, scroller.page)}
        onKeyUp={listKeyUp}
        onClick={clickList}
      >
        <div class="list-lines" role="presentation" style={{ height: `${count * rowHeight}px` }}>
          <Lines window={scroller.window.value} rowHeight={rowHeight} hasGroups={hasGroups} active={active} index={index} />
        </div>
      </div>
    </div>
  );
}

interface LinesProps {
  window: { from: number; to: number };
  rowHeight: number;
  hasGroups: boolean;
  active: number | null;
  index: number;
}

function Lines({ window, rowHeight, hasGroups, active, index }: LinesProps) {
  const all = rows.value;
  const { entries, groups } = listing.value;
  if (!all) return null;
  const to = Math.min(window.to, entries.length);
  const slots = Math.max(1, window.to - window.from);
  const selected = selectedRow.value;
  const isBelowLayer = query.value.grouping === "layer";
  const places = Array.from({ length: Math.max(0, to - window.from) }, (_, place) => window.from + place);
  // What `aria-activedescendant` names has to be there, wherever the list is scrolled.
  if (index >= 0 && (index < window.from || index >= to)) places.push(index);
  return (
    <>
      {places.map((place) => {
        const entry = entries[place] as number;
        const key = place === index ? "active" : place % slots;
        const top = place * rowHeight;
        if (entry < 0) {
          const header = { group: groups[~entry]!, top, isActive: entry === active, place: ~entry + 1, size: groups.length };
          return <GroupLine key={key} {...header} />;
        }
        const group = groups[groupOf(place)];
        return (
          <RowLine
            key={key}
            rows={all}
            row={entry}
            top={top}
            isSelected={entry === selected}
            isActive={entry === active}
            role={hasGroups ? "treeitem" : "option"}
            isBelowLayer={isBelowLayer}
            place={place - (group ? group.header : -1)}
            size={group ? group.count : entries.length}
          />
        );
      })}
    </>
  );
}

function entryId(entry: number): string {
  return entry < 0 ? `group-${listing.value.groups[~entry]?.key}` : `row-${entry}`;
}

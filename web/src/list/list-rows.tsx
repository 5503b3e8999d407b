import { useLayoutEffect, useRef } from "preact/hooks";

import { rows, select, selectedRow } from "../state/page-state";
import { activeEntry, activeIndex, foldGroup, groupOf, listing, query, revealed } from "../state/list-state";
import { GroupLine, GroupText } from "./group-line";
import { entryAfterKey } from "./list-keys";
import { RowLine } from "./row-line";
import { isRenamed } from "./row-text";
import { useVirtualRows } from "./virtual-rows";

const [ONE_LINE, TWO_LINES, HEADER] = [26, 42, 26];

/** The lines of the list: those in view are drawn, on elements that are used again while it scrolls. */
export function ListRows() {
  const all = rows.value;
  const shown = listing.value;
  const scroller = useRef<HTMLDivElement>(null);
  const index = activeIndex.value;
  const isGrouped = query.value.grouping !== "none";
  const rowHeight = all && isRenamed(all) ? TWO_LINES : ONE_LINE;
  const view = useVirtualRows({
    count: shown.entries.length, rowHeight, scroller, covered: isGrouped ? HEADER : 0, kept: index,
  });
  const asked = revealed.value;
  useLayoutEffect(() => {
    if (activeIndex.peek() >= 0) view.reveal(activeIndex.peek());
  }, [asked, shown, rowHeight]);

  if (!all) return null;
  const active = activeEntry.value;
  const floating = shown.groups[groupOf(view.first)];

  function goTo(entry: number | undefined): void {
    if (entry === undefined) return;
    activeEntry.value = entry;
    revealed.value += 1;
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const entry = activeEntry.peek();
    const group = entry === null ? undefined : shown.groups[entry < 0 ? ~entry : groupOf(index)];
    const to = entryAfterKey(event.key, index, shown.entries.length, view.page);
    if (to !== null) {
      goTo(shown.entries[to]);
      // While a key is held, the list moves; the tensor is fetched when it is let go.
      if (!event.repeat) show(shown.entries[to]);
    } else if (event.key === "Enter" || event.key === " ") {
      if (entry !== null && entry < 0 && group) foldGroup(group.key);
      else show(entry ?? undefined);
    } else if (event.key === "ArrowRight" && entry !== null && entry < 0 && group) {
      if (!group.isOpen) foldGroup(group.key, false);
      else goTo(shown.entries[index + 1]);
    } else if (event.key === "ArrowLeft" && group) {
      if (entry !== null && entry >= 0) goTo(shown.entries[group.header]);
      else foldGroup(group.key, true);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function show(entry: number | undefined): void {
    if (entry !== undefined && entry >= 0 && selectedRow.peek() !== entry) select(entry);
  }

  function onKeyUp(event: KeyboardEvent): void {
    if (entryAfterKey(event.key, index, 1, 1) !== null) show(activeEntry.peek() ?? undefined);
  }

  function onClick(event: MouseEvent): void {
    const line = (event.target as Element).closest<HTMLElement>("[data-row], [data-group]");
    if (line?.dataset.group !== undefined) {
      activeEntry.value = ~shown.groups.findIndex((group) => group.key === line.dataset.group);
      foldGroup(line.dataset.group);
    } else if (line?.dataset.row !== undefined) {
      activeEntry.value = Number(line.dataset.row);
      select(Number(line.dataset.row));
    }
  }

  const slots = view.items.length;
  return (
    <div class="list-rows">
      {floating && view.first > floating.header && floating.isOpen && (
        <div class="group-row floating" aria-hidden="true" data-testid="floating-group" onClick={() => foldGroup(floating.key)}>
          <GroupText group={floating} />
        </div>
      )}
      <div
        class={rowHeight === TWO_LINES ? "scroller two-lines" : "scroller"}
        ref={scroller}
        role={isGrouped ? "tree" : "listbox"}
        aria-label="Tensors"
        aria-activedescendant={index < 0 || active === null ? undefined : idOf(active)}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onKeyUp={onKeyUp}
        onClick={onClick}
      >
        <div class="lines" role="presentation" style={{ height: `${view.height}px` }}>
          {view.items.map((item) => {
            const entry = shown.entries[item.index] as number;
            const slot = item.index % slots;
            if (entry < 0) {
              return (
                <GroupLine
                  key={slot}
                  group={shown.groups[~entry]!}
                  top={item.start}
                  isActive={entry === active}
                  place={~entry + 1}
                  size={shown.groups.length}
                />
              );
            }
            const group = shown.groups[groupOf(item.index)];
            return (
              <RowLine
                key={slot}
                rows={all}
                row={entry}
                top={item.start}
                isSelected={entry === selectedRow.value}
                isActive={entry === active}
                role={isGrouped ? "treeitem" : "option"}
                place={item.index - (group ? group.header : -1)}
                size={group ? group.count : shown.entries.length}
              />
            );
          })}
        </div>
      </div>
    </div>
  );

  function idOf(entry: number): string {
    return entry < 0 ? `group-${shown.groups[~entry]?.key}` : `row-${entry}`;
  }
}

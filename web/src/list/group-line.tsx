import type { ReadonlySignal } from "@preact/signals";

import { foldGroup, goTo, groupOf, listing } from "../state/list-state";
import type { Group } from "./listing";
import { StatusMark } from "./status-mark";

interface Props {
  group: Group;
  top: number;
  isActive: boolean;
  place: number;
  size: number;
}

/** The header of a group: its name, what is wrong in it, and whether it is open. */
export function GroupLine({ group, top, isActive, place, size }: Props) {
  return (
    <div
      id={`group-${group.key}`}
      class={`group-row${isActive ? " active" : ""}`}
      style={{ transform: `translateY(${top}px)` }}
      role="treeitem"
      aria-label={`${group.label}, ${groupCounts(group)}`}
      aria-level={1}
      aria-expanded={group.isOpen}
      aria-posinset={place}
      aria-setsize={size}
      data-testid="tensor-group"
      data-group={group.key}
    >
      <GroupText group={group} />
    </div>
  );
}

interface FloatingProps {
  scrolled: ReadonlySignal<number>;
  rowHeight: number;
  /** Height of the floating header. */
  height: number;
}

/** The header of the group that is seen first, where its own is scrolled out of view; the next one pushes it away. */
export function FloatingGroup({ scrolled, rowHeight, height }: FloatingProps) {
  const top = scrolled.value;
  const groups = listing.value.groups;
  const place = groupOf(Math.floor(top / rowHeight));
  const group = groups[place];
  if (!group || !group.isOpen || top <= group.header * rowHeight) return null;
  const next = groups[place + 1];
  const pushed = next ? Math.min(0, next.header * rowHeight - top - height) : 0;
  return (
    <div
      class="group-row floating"
      style={{ transform: `translateY(${pushed}px)` }}
      aria-hidden="true"
      data-testid="floating-group"
      onClick={() => {
        foldGroup(group.key, true);
        goTo(~place);
      }}
    >
      <GroupText group={group} />
    </div>
  );
}

/** What a header shows, in the list and floating above it. */
export function GroupText({ group }: { group: Group }) {
  return (
    <>
      <svg class={group.isOpen ? "group-fold is-open" : "group-fold"} viewBox="0 0 12 12" aria-hidden="true">
        <path d="M4 2 8.5 6 4 10" />
      </svg>
      <StatusMark status={group.worst} />
      <span class="group-name">{group.label}</span>
      <span class="group-counts">{groupCounts(group)}</span>
    </>
  );
}

const NUMBERS = new Intl.NumberFormat("en");

/** `12`, or `3 of 12 not ok`. */
export function groupCounts(group: Group): string {
  const all = NUMBERS.format(group.count);
  return group.wrong === 0 ? all : `${NUMBERS.format(group.wrong)} of ${all} not ok`;
}

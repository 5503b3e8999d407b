import type { ReadonlySignal } from "@preact/signals";

import { foldGroup, groupOf, listing } from "../state/list-state";
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

/** The header of the group that is seen first, where its own is scrolled out of view. */
export function FloatingGroup({ first }: { first: ReadonlySignal<number> }) {
  const index = first.value;
  const group = listing.value.groups[groupOf(index)];
  if (!group || !group.isOpen || index <= group.header) return null;
  return (
    <div class="group-row floating" aria-hidden="true" data-testid="floating-group" onClick={() => foldGroup(group.key)}>
      <GroupText group={group} />
    </div>
  );
}

/** What a header shows, in the list and floating above it. */
export function GroupText({ group }: { group: Group }) {
  return (
    <>
      <svg class={group.isOpen ? "fold is-open" : "fold"} viewBox="0 0 12 12" aria-hidden="true">
        <path d="M4 2 8.5 6 4 10" />
      </svg>
      <StatusMark status={group.worst} />
      <span class="group-name">{group.label}</span>
      <span class="group-counts">{groupCounts(group)}</span>
    </>
  );
}

export function groupCounts(group: Group): string {
  const all = group.count.toLocaleString("en");
  return group.wrong === 0 ? all : `${group.wrong.toLocaleString("en")} of ${all} not ok`;
}

/** What the list is asked for, and how the fragment of the address says it. */

import { STATUSES } from "../api/types";
import { GROUPINGS, type Grouping } from "../list/row-groups";
import { SORT_KEYS, type SortKey } from "../list/row-order";
import type { Place } from "./link";

export interface ListQuery {
  text: string;
  /** Statuses that are not shown. */
  hidden: ReadonlySet<number>;
  /** The one dtype that is shown, by its name. */
  dtype: string | null;
  grouping: Grouping;
  key: SortKey;
  isDescending: boolean;
  /** Groups that are closed, or with `isInverted` those that are open. */
  folded: ReadonlySet<string>;
  isInverted: boolean;
}

const slugs = STATUSES.map((status) => status.replaceAll(" ", "-"));

/** What the address asks for; words it should not hold are left out. */
export function queryOf(place: Place): ListQuery {
  const text = (name: string): string => String(place[name] ?? "");
  const sort = text("sort");
  const fold = text("fold");
  const key = sort.replace(/^-/, "") as SortKey;
  return {
    text: text("q"),
    hidden: new Set(list(text("hide")).map((slug) => slugs.indexOf(slug)).filter((status) => status >= 0)),
    dtype: text("dtype") || null,
    grouping: GROUPINGS.includes(text("group") as Grouping) ? (text("group") as Grouping) : "layer",
    key: SORT_KEYS.includes(key) ? key : "order",
    isDescending: sort.startsWith("-"),
    folded: new Set(list(fold.replace(/^!/, ""))),
    isInverted: fold.startsWith("!"),
  };
}

/** The other way round: every field that the address may hold, `undefined` where it is as it begins. */
export function placeOfQuery(query: ListQuery): Place {
  const sort = `${query.isDescending ? "-" : ""}${query.key}`;
  const fold = `${query.isInverted ? "!" : ""}${[...query.folded].join(",")}`;
  return {
    q: query.text || undefined,
    hide: [...query.hidden].sort().map((status) => slugs[status]).join(",") || undefined,
    dtype: query.dtype ?? undefined,
    group: query.grouping === "layer" ? undefined : query.grouping,
    sort: sort === "order" ? undefined : sort,
    fold: fold || undefined,
  } as Place;
}

/** Whether a group is closed. */
export function isClosed(query: ListQuery, key: string): boolean {
  return query.folded.has(key) !== query.isInverted;
}

/** The query with one group closed or open. */
export function withGroup(query: ListQuery, key: string, closed: boolean): ListQuery {
  if (isClosed(query, key) === closed) return query;
  const folded = new Set(query.folded);
  if (!folded.delete(key)) folded.add(key);
  return { ...query, folded };
}

/** The query that shows every row. */
export function withoutFilters(query: ListQuery): ListQuery {
  return { ...query, text: "", hidden: new Set(), dtype: null };
}

export function hasFilters(query: ListQuery): boolean {
  return query.text.trim() !== "" || query.hidden.size > 0 || query.dtype !== null;
}

function list(text: string): string[] {
  return text.split(",").filter(Boolean);
}

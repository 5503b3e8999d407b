/** What the server sends; `docs/reference/web-api.md` says what the fields mean. */

export type SideName = "expected" | "actual";
/** Numbers that are not finite come as text. */
export type Figure = number | "nan" | "inf" | "-inf" | null;

export interface Item {
  id: string;
  name: string;
  bytes: number;
  source: "upload" | "path";
}

/** What several files of one side are: ranks of one run, parts of one dump, or what their names say. */
export type Several = "auto" | "ranks" | "parts";

/** Something on this machine that the page may open without sending it. */
export interface PlaceEntry {
  path: string;
  name: string;
  kind: "folder" | "dump" | "recording" | "other";
  /** 0 of a folder. */
  bytes: number;
  /** Seconds since 1970. */
  changed: number;
}

export interface Places {
  roots: string[];
  recent: PlaceEntry[];
  recordings: PlaceEntry[];
}

export interface Folder {
  path: string;
  parent: string | null;
  entries: PlaceEntry[];
  /** So many more than are listed. */
  left_out: number;
}

export type State = "empty" | "opening" | "comparing" | "ready" | "failed" | "cancelled";

export interface Status {
  state: State;
  revision: number;
  done: number;
  total: number;
  item: string | null;
  error: { message: string; hint: string | null } | null;
  seconds: number;
}

export interface SessionInfo {
  session: string;
  version: string;
  sides: Record<SideName, Item[]>;
  as: Record<SideName, Several>;
  comparison: Status;
  limits: { max_upload_bytes: number };
  roots: string[];
}

export interface Verdict {
  verdict: "match" | "differ" | "insufficient";
  sentence: string;
  expected: string;
  actual: string[];
  first: number | null;
  healed: number | null;
  counts: Record<string, number>;
  pairs: number;
  notes: string[];
  diagnoses: { row: number | null; at: string; kind: string; detail: string }[];
  refused: { entry: string; reason: string }[];
  refused_count: number;
  unpaired_expected: number;
  unpaired_actual: number;
}

export const STATUSES = [
  "ok", "differs", "inherited", "healed", "only expected", "only actual", "refused",
] as const;
export type RowStatus = (typeof STATUSES)[number];

/** Columns of equal length, in layer order. */
export interface Rows {
  count: number;
  expected: (string | null)[];
  actual: (string | null)[];
  status: number[];
  layer: (number | null)[];
  stage: number[];
  dtype: number[];
  shape: number[];
  error: Figure[];
  max_abs: Figure[];
  order: (number | null)[];
  stages: string[];
  dtypes: string[];
  shapes: string[];
}

export interface SideDetail {
  name: string;
  dtype: string;
  shape: number[];
  rank: number;
  elements: number;
  bytes: number;
  kind: string;
}

export interface SideFigures {
  mean: Figure;
  std: Figure;
  minimum: Figure;
  maximum: Figure;
  nan: number;
  inf: number;
  first_nan: number[] | null;
}

/** Of the stored tensors of a row, one for each rank. */
export type OwnFigures = Record<SideName, SideFigures[]>;

export interface Measures {
  elements: number;
  mismatched: number;
  outside: number;
  max_abs: Figure;
  max_abs_index: number[] | null;
  relative_error: Figure;
  mse: Figure;
  /** A text where it is beyond what numbers hold. */
  max_ulp: number | string;
  cosine: Figure;
  scale: Figure;
  expected: SideFigures;
  actual: SideFigures;
}

/** A line of a layout's picture; `dims` says of each dim of which dims of the line before it is made. */
export interface LayoutStep {
  side: SideName;
  /** The call; of the first line of a side how many ranks there are, or nothing. */
  name: string;
  shape: number[];
  dims: number[][];
}

export interface LayoutDetail {
  text: string;
  /** What says it again in a mapping. */
  hint: string | null;
  /** Whether the user said it. */
  is_given: boolean;
  reason: string | null;
  expected_text: string | null;
  steps: LayoutStep[];
  is_identity: boolean;
}

export interface Detail {
  row: number;
  expected: SideDetail | null;
  actual: SideDetail[];
  status: RowStatus;
  reason: string;
  stage: string | null;
  layer: number | null;
  matched_by: string | null;
  note: string | null;
  /** Where one side holds several parts in one tensor. */
  fused: { side: SideName; parts: string[]; index: number; group: string } | null;
  layout: LayoutDetail | null;
  near: string[];
  shape: number[];
  measures: Measures | null;
  diagnoses: { kind: string; detail: string }[];
  /** Of a refused one, what it is called in its file. */
  entry?: string;
}

/** Which window of a tensor. */
export interface Spec {
  fixed: number[];
  rows: number | null;
  columns: number | null;
  row0: number;
  column0: number;
  height: number;
  width: number;
  flat: boolean;
  fold: number;
  rank: number;
}

export interface Window {
  view: "aligned" | "own";
  expected: Spec | null;
  actual: Spec | null;
}

/** Row by row; null where a folded line has ended. */
export interface Cells {
  height: number;
  width: number;
  /** Of all that the window is cut from. */
  rows: number;
  columns: number;
  shape: number[];
  /** In which `index` counts. */
  stored_shape: number[];
  dtype: string;
  index: (string | null)[];
  /** Whose tensor `index` counts in, where there are several ranks. */
  rank: (number | null)[] | null;
  /** Of how many ranks' numbers each is the sum. */
  summands: number;
  text: (string | null)[];
  value: Figure[];
}

export interface Values {
  expected: Cells | null;
  actual: Cells | null;
  /** Of as many rows and columns as both windows have, like all that follows. */
  difference: Figure[];
  difference_text: (string | null)[];
  ulp: (number | string | null)[];
  differs: boolean[];
}

export interface TileHead {
  height: number;
  width: number;
  rows_per_pixel: number;
  columns_per_pixel: number;
  /** Pixels at the end of the last row that stand for nothing. */
  missing: number;
  minimum: Figure;
  maximum: Figure;
  nan: number;
  inf: number;
}

export interface Found {
  /** In the shape in which both sides are compared. */
  index: number[] | null;
  /** In the stored tensors. */
  expected_index: number[] | null;
  actual_index: number[] | null;
  actual_rank: number | null;
  wrapped: boolean;
  count: number | null;
  /** Whether it is a difference that the judge allows: none is larger. */
  is_allowed: boolean;
}

/** How many numbers lie from each edge to the next; NaN and infinities of expected, actual and difference. */
export interface Counts {
  edges: Figure[];
  expected: number[] | null;
  actual: number[] | null;
  difference_edges: Figure[];
  difference: number[] | null;
  nan: (number | null)[];
  inf: (number | null)[];
  elements: number;
  of: number;
  is_sampled: boolean;
}

/** Sides as in a map: a name, a pattern, a name in quotes, `-`. */
export interface MapRule {
  expected: string;
  actual: string;
  layout: string | null;
}

export interface Mapping {
  rules: MapRule[];
  text: string;
}

/** What would come of pairing two tensors and laying them out so. */
export interface MappingCheck {
  ok: boolean;
  shape: number[] | null;
  message: string;
  layout: string | null;
  steps: LayoutStep[];
  /** The layout by dims, as `DimsDraft`; null where it cannot be said so. */
  pieces: number[][] | null;
  order: number[][] | null;
  expected_shape: number[];
  actual_shapes: number[][];
  common: { name: string; layout: string }[];
  for_all_layers: { expected: string; actual: string } | null;
}

/** A layout by hand: the actual dims cut into pieces, and which pieces make up each expected dim. Pure. */

/** `pieces` of each actual dim; `order` of each expected dim counts through all pieces. */
export interface DimsDraft {
  pieces: number[][];
  order: number[][];
}

/** Each dim whole, and set against expected dims of its size; dims that are made of several are cut. */
export function firstDraft(actual: readonly number[], expected: readonly number[]): DimsDraft {
  return withOrder(actual.map((size) => [size]), expected);
}

/** The same pieces, given to expected dims by their sizes, from the left. */
export function withOrder(pieces: number[][], expected: readonly number[]): DimsDraft {
  const atoms = pieces.flat();
  const free = atoms.map((size, place) => ({ size, place })).filter(({ size }) => size !== 1);
  const order = expected.map(() => [] as number[]);
  const take = (place: number) => free.splice(free.findIndex((one) => one.place === place), 1);
  expected.forEach((size, dim) => {
    const same = size === 1 ? undefined : free.find((one) => one.size === size);
    if (!same) return;
    order[dim]?.push(same.place);
    take(same.place);
  });
  expected.forEach((size, dim) => {
    let rest = size;
    if (order[dim]?.length) return;
    for (let next = fitting(free, rest); rest > 1 && next; next = fitting(free, rest)) {
      order[dim]?.push(next.place);
      rest /= next.size;
      take(next.place);
    }
  });
  return { pieces, order };
}

const fitting = (free: readonly { size: number; place: number }[], rest: number) =>
  free.find((one) => one.size > 0 && rest % one.size === 0);

/** Factors as people write them, `8 × 64`; null where they do not make up the dim. */
export function parsePieces(text: string, size: number): number[] | null {
  const parts = text.trim().split(/\s*[×x*,·\s]\s*/).filter(Boolean);
  if (parts.length === 0 || parts.length > 8 || !parts.every((part) => /^\d{1,12}$/.test(part))) return null;
  const found = parts.map(Number);
  return found.reduce((product, factor) => product * factor, 1) === size ? found : null;
}

export const piecesText = (pieces: readonly number[]) => pieces.join(" × ");

/** Another cut of one actual dim; pieces of the others stay where they are. */
export function cut(draft: DimsDraft, dim: number, pieces: number[]): DimsDraft {
  const starts = firsts(draft.pieces);
  const start = starts[dim] ?? 0;
  const before = draft.pieces[dim]?.length ?? 0;
  const shift = pieces.length - before;
  const order = draft.order.map((made) =>
    made.flatMap((place) => {
      if (place < start) return [place];
      if (place >= start + before) return [place + shift];
      // What stood for the whole dim stands for all its pieces.
      return before === 1 ? pieces.map((_, piece) => start + piece) : [];
    }),
  );
  return { pieces: draft.pieces.map((old, place) => (place === dim ? pieces : old)), order };
}

/** Give a piece to an expected dim at a place within it, or with null to none. */
export function put(draft: DimsDraft, piece: number, dim: number | null, at?: number): DimsDraft {
  const order = draft.order.map((made) => made.filter((other) => other !== piece));
  if (dim !== null) order[dim]?.splice(at ?? order[dim].length, 0, piece);
  return { ...draft, order };
}

/** Let two pieces change places; one of them may be used nowhere. */
export function swap(draft: DimsDraft, one: number, other: number): DimsDraft {
  const order = draft.order.map((places) => places.map((place) => (place === one ? other : place === other ? one : place)));
  return { ...draft, order };
}

/** Pieces that no expected dim has; those of size 1 need not be anywhere. */
export function unused(draft: DimsDraft): number[] {
  const used = new Set(draft.order.flat());
  return draft.pieces.flat().flatMap((size, place) => (used.has(place) || size === 1 ? [] : [place]));
}

/** What each expected dim comes to. */
export function made(draft: DimsDraft): number[] {
  const atoms = draft.pieces.flat();
  return draft.order.map((places) => places.reduce((product, place) => product * (atoms[place] ?? 0), 1));
}

/** `dim 1` or `dim 1, piece 2`, of a piece. */
export function pieceName(pieces: readonly number[][], place: number): string {
  const starts = firsts(pieces);
  const dim = starts.filter((start) => start <= place).length - 1;
  const within = place - (starts[dim] ?? 0);
  return (pieces[dim]?.length ?? 0) > 1 ? `dim ${dim}.${within}` : `dim ${dim}`;
}

function firsts(pieces: readonly number[][]): number[] {
  let next = 0;
  return pieces.map((made) => {
    const start = next;
    next += made.length;
    return start;
  });
}

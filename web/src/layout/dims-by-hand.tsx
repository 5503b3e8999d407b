import { useEffect, useRef, useState } from "preact/hooks";

import { checkMapping } from "../api/client";
import type { MappingCheck } from "../api/types";
import { report } from "../state/banner";
import { Latest } from "../state/tensor-latest";
import { cut, firstDraft, made, parsePieces, pieceName, piecesText, put, swap, unused, type DimsDraft } from "./dims-draft";
import type { PairSides } from "./pair-sides";

interface Properties {
  check: MappingCheck;
  /** As it stands in the field; what is not that any more is forgotten. */
  text: string;
  sides: PairSides;
  onLayout: (layout: string) => void;
}

/** Dims set against each other: the actual ones, cut where need be, as pieces of the expected ones. */
export function DimsByHand({ check, text, sides, onLayout }: Properties) {
  const isLone = check.actual_shapes.length === 1;
  const [first, setFirst] = useState(isLone ? "" : (ranksOf(check).find((way) => text.startsWith(way)) ?? ranksOf(check)[0] ?? ""));
  const [shape, setShape] = useState<number[] | null>(isLone ? (check.actual_shapes[0] ?? []) : null);
  const [draft, setDraft] = useState<{ of: string; dims: DimsDraft } | null>(null);
  const [message, setMessage] = useState("");
  const latest = useRef<Latest | null>(null);
  latest.current ??= new Latest(report);
  const wanted = check.expected_shape;
  const { expected, actual } = sides.texts;

  useEffect(() => {
    if (isLone) return;
    latest.current?.ask(async (signal) => {
      const found = await checkMapping({ expected, actual, layout: first }, signal);
      setShape(found.shape);
      setDraft(null);
    });
  }, [first]);
  useEffect(() => () => latest.current?.stop(), []);

  if (!shape) return null;
  const isTold = check.pieces !== null && check.order !== null && check.layout === text && (isLone || text.startsWith(first));
  const told = isTold && check.pieces && check.order ? { pieces: check.pieces, order: check.order } : null;
  const now = draft?.of === text ? draft.dims : (told ?? firstDraft(shape, wanted));
  const atoms = now.pieces.flat();
  const comes = made(now);

  function change(next: DimsDraft) {
    setDraft({ of: text, dims: next });
    latest.current?.ask(async (signal) => {
      const found = await checkMapping({ expected, actual, layout: first || null, pieces: next.pieces, order: next.order }, signal);
      setMessage(found.ok ? "" : found.message);
      if (!found.ok || found.layout === null) return;
      setDraft({ of: found.layout, dims: next });
      onLayout(found.layout);
    });
  }

  const label = (piece: number) => `${pieceName(now.pieces, piece)} (${atoms[piece]})`;
  const free = unused(now);
  return (
    <fieldset class="dims-by-hand" data-testid="dims-by-hand">
      <legend>By dims</legend>
      {!isLone && (
        <label>
          the ranks{" "}
          <select value={first} onChange={(event) => setFirst(event.currentTarget.value)}>
            {ranksOf(check).map((way) => (
              <option key={way} value={way}>{way}</option>
            ))}
          </select>
        </label>
      )}
      <div class="cuts">
        {now.pieces.map((pieces, dim) => (
          <label key={`${dim} ${piecesText(pieces)}`}>
            actual dim {dim}, cut as{" "}
            <input
              type="text"
              class="short mono"
              defaultValue={piecesText(pieces)}
              aria-label={`Factors of actual dim ${dim} of size ${shape[dim] ?? 0}`}
              onChange={(event) => {
                const found = parsePieces(event.currentTarget.value, shape[dim] ?? 0);
                if (found) change(cut(now, dim, found));
                setMessage(found ? "" : `${event.currentTarget.value || "nothing"} does not make ${shape[dim]}: write factors such as 8 × ${(shape[dim] ?? 8) / 8}`);
              }}
            />
          </label>
        ))}
      </div>
      <div class="made">
        {wanted.map((size, dim) => (
          <div key={dim} class={comes[dim] === size ? "made-dim" : "made-dim open"} role="group" aria-label={`Expected dim ${dim} of size ${size}`}>
            <span>
              expected dim {dim} <code>({size})</code> =
            </span>
            {now.order[dim]?.map((piece, at) => (
              <select key={piece} value={piece} aria-label={`Piece ${at} of expected dim ${dim}`} onChange={(event) => choose(piece, event.currentTarget.value)}>
                {atoms.map((_, other) => (
                  <option key={other} value={other}>{label(other)}</option>
                ))}
                <option value="">take away</option>
              </select>
            ))}
            {free.length > 0 && (
              <select value="" aria-label={`Another piece of expected dim ${dim}`} onChange={(event) => event.currentTarget.value !== "" && change(put(now, Number(event.currentTarget.value), dim))}>
                <option value="">+ …</option>
                {free.map((piece) => (
                  <option key={piece} value={piece}>{label(piece)}</option>
                ))}
              </select>
            )}
            {(now.order[dim]?.length ?? 0) === 0 && free.length === 0 && <span class="soft">nothing: size 1</span>}
          </div>
        ))}
      </div>
      {message && <p class="fits-not small">{message}</p>}
    </fieldset>
  );

  function choose(piece: number, chosen: string) {
    change(chosen === "" ? put(now, piece, null) : swap(now, piece, Number(chosen)));
  }
}

/** Ways in which ranks of these shapes make one tensor. */
function ranksOf(check: MappingCheck): string[] {
  const shapes = check.actual_shapes;
  const dims = shapes[0]?.length ?? 0;
  const along = Array.from({ length: dims }, (_, dim) => dim).filter((dim) =>
    shapes.every((shape) => shape.length === dims && shape.every((size, other) => other === dim || size === shapes[0]?.[other])),
  );
  const areAlike = shapes.every((shape) => shape.join() === shapes[0]?.join());
  return [...along.map((dim) => `concatenate(${dim})`), ...(areAlike ? ["stack", "replicated", "sum"] : [])];
}

import type { Look, Viewport } from "../state/tensor-place";

interface MarkProperties {
  shown: { row: number; column: number };
  part: Viewport;
  plane: { rows: number; columns: number; fold: number };
  look: Look;
}

/** The part whose numbers are written out, as far as it is in the picture. */
export function WindowMark({ shown, part, plane, look }: MarkProperties) {
  const isPlane = look.mode === "plane" && plane.fold === 0;
  const [bottom, right] = [shown.row + (isPlane ? look.count : 1), Math.min(plane.columns, shown.column + look.count)];
  const from = { row: Math.max(shown.row, part.row0), column: Math.max(shown.column, part.column0) };
  const to = { row: Math.min(bottom, part.row0 + part.height, plane.rows), column: Math.min(right, part.column0 + part.width) };
  if (to.row <= from.row || to.column <= from.column) return null;
  const share = (cells: number, of: number) => `${(cells / of) * 100}%`;
  return (
    <span
      class="here-mark"
      style={{
        left: share(from.column - part.column0, part.width),
        top: share(from.row - part.row0, part.height),
        width: share(to.column - from.column, part.width),
        height: share(to.row - from.row, part.height),
      }}
    />
  );
}

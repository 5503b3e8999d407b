import type { LayoutStep } from "../api/types";
import { pictureOf, pictureWords } from "./layout-picture";

const COLOURS = 6;

/** Boxes of dims, and lines that show where each of them goes. */
export function LayoutPicture({ steps }: { steps: readonly LayoutStep[] }) {
  const picture = pictureOf(steps);
  return (
    <div class="layout-picture" data-testid="layout-picture" tabIndex={0} role="group" aria-label="Picture of the layout">
      <svg width={picture.width} height={picture.height} viewBox={`0 0 ${picture.width} ${picture.height}`} role="img" aria-label={pictureWords(steps)}>
        {picture.lines.map((line, place) => (
          <path
            key={place}
            class={`dim-line ${line.origin < 0 ? "" : `origin-${line.origin % COLOURS}`}`}
            d={`M${line.x1} ${line.y1} C${line.x1} ${(line.y1 + line.y2) / 2} ${line.x2} ${(line.y1 + line.y2) / 2} ${line.x2} ${line.y2}`}
          />
        ))}
        {picture.boxes.map((box, place) => (
          <g key={place}>
            <rect class="dim-box" x={box.x} y={box.y} width={box.width} height={box.height} rx={5} />
            <text class="dim-size" x={box.x + box.width / 2} y={box.y + box.height / 2}>
              {box.text}
            </text>
          </g>
        ))}
        {picture.rows.map((row, place) => (
          <text key={place} class={row.words === row.side || row.words.startsWith(`${row.side},`) ? "step-side" : "step-call"} x={0} y={row.y}>
            {row.words.length > 26 ? `${row.words.slice(0, 25)}…` : row.words}
            <title>{row.words}</title>
          </text>
        ))}
      </svg>
    </div>
  );
}

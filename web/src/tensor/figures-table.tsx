import type { Figure, SideFigures } from "../api/types";
import { figureText } from "../state/format";

const FIELDS = [
  ["mean", "mean"],
  ["std", "standard deviation"],
  ["minimum", "minimum"],
  ["maximum", "maximum"],
  ["nan", "NaN"],
  ["inf", "Inf"],
] as const;

/** Figures of tensors side by side, a column for each. */
export function FiguresTable({ columns }: { columns: { name: string; figures: SideFigures }[] }) {
  return (
    <table>
      <caption>{columns.length > 1 ? "Each side" : "Of the tensor"}</caption>
      <thead>
        <tr>
          <td />
          {columns.map(({ name }) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {FIELDS.map(([field, name]) => (
          <tr key={field}>
            <th scope="row">{name}</th>
            {columns.map((column) => (
              <td key={column.name}>{sideText(column.figures[field])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const sideText = (figure: Figure) => figureText(figure, 4);

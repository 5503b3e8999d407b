import type { Measures } from "../api/types";
import { figureText } from "../state/format";
import { FiguresTable } from "./figures-table";
import { indexText } from "./tensor-index";
import "./statistics.css";

/** Figures of both sides and between them, out of the way until somebody wants them. */
export function Statistics({ measures }: { measures: Measures }) {
  const between: [string, string][] = [
    ["relative error", figureText(measures.relative_error, 4)],
    ["largest difference", figureText(measures.max_abs, 4) + (measures.max_abs_index ? ` at [${indexText(measures.max_abs_index).replaceAll(",", ", ")}]` : "")],
    ["mean squared error", figureText(measures.mse, 4)],
    ["cosine", figureText(measures.cosine, 6)],
    ["best factor", figureText(measures.scale, 6)],
    ["largest ULP distance", wholeText(measures.max_ulp)],
    ["not equal", countText(measures.mismatched, measures.elements)],
    ["beyond what is allowed", countText(measures.outside, measures.elements)],
  ];
  return (
    <details class="fold" data-testid="statistics">
      <summary>Statistics</summary>
      <div class="statistics">
        <FiguresTable columns={[{ name: "expected", figures: measures.expected }, { name: "actual", figures: measures.actual }]} />
        <table>
          <caption>Between them</caption>
          <tbody>
            {between.map(([name, text]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{text}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** Counts that a browser's numbers do not hold come as text. */
function wholeText(count: number | string): string {
  return /^\d+$/.test(String(count)) ? BigInt(count).toLocaleString("en") : String(count);
}

function countText(count: number, of: number): string {
  return `${count.toLocaleString("en")} of ${of.toLocaleString("en")}`;
}

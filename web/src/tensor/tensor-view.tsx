import type { Detail } from "../api/types";
import { shapeText } from "../state/format";

/** One pair of tensors: numbers side by side, heat maps, search. */
export function TensorView({ detail }: { detail: Detail }) {
  return (
    <section class="tensor" data-testid="tensor-view">
      <h1>{detail.expected?.name ?? detail.actual[0]?.name}</h1>
      <p>
        {shapeText(detail.shape)} {detail.reason}
      </p>
    </section>
  );
}

import { copyIndices, setView } from "../state/tensor-view";
import type { View } from "../state/tensor-place";

/** Look at each side in its own dims and indices, and copy those of one side to the other. */
export function OwnIndices({ view, canAlign }: { view: View; canAlign: boolean }) {
  const isOwn = view === "own";
  return (
    <div class="own-indices" role="group" aria-label="Indices of both sides">
      <button
        type="button"
        data-testid="mapping-manual"
        aria-pressed={isOwn}
        disabled={!canAlign}
        title={canAlign ? "Each side in its own dims, with sliders of its own" : "They cannot be laid out alike: each side has its own indices"}
        onClick={() => setView(isOwn ? "aligned" : "own")}
      >
        Independent indices
      </button>
      {isOwn && (
        <>
          <button type="button" data-testid="copy-to-actual" title="The actual side at the indices of the expected one" onClick={() => copyIndices("expected")}>
            expected → actual
          </button>
          <button type="button" data-testid="copy-to-expected" title="The expected side at the indices of the actual one" onClick={() => copyIndices("actual")}>
            actual → expected
          </button>
        </>
      )}
    </div>
  );
}

import { useEffect, useRef, useState } from "preact/hooks";

import {
  canCompare, findMessage, goToIndex, hasBoth, isFinding, jumpToMaximum, nextDifference, nextMatch, searchFocus, searchSide,
  searchText, type SearchSide,
} from "../state/tensor-find";
import type { Look } from "../state/tensor-place";

/** Ways to a number: largest and next differences, an index, a value or a range. */
export function SearchBar({ look }: { look: Look }) {
  const box = useRef<HTMLInputElement>(null);
  const wanted = searchFocus.value;
  const seen = useRef(wanted);

  useEffect(() => {
    if (wanted === seen.current) return;
    seen.current = wanted;
    box.current?.focus();
    box.current?.select();
  }, [wanted]);

  return (
    <div class="search" role="search" aria-label="Find a number">
      <div class="search-part">
        <button type="button" data-testid="jump-max" disabled={!canCompare.value} onClick={jumpToMaximum} title="m">
          Largest difference
        </button>
        <span class="moves" role="group" aria-label="Differences">
          <button type="button" data-testid="previous-difference" disabled={!canCompare.value} onClick={() => nextDifference(-1)} aria-label="previous difference" title="previous difference (N)">
            ‹ ≠
          </button>
          <button type="button" data-testid="next-difference" disabled={!canCompare.value} onClick={() => nextDifference(1)} aria-label="next difference" title="next difference (n)">
            ≠ ›
          </button>
        </span>
      </div>
      <form
        class="search-part"
        onSubmit={(event) => {
          event.preventDefault();
          nextMatch(1);
        }}
      >
        <input
          ref={box}
          type="search"
          data-testid="search-input"
          aria-label="Search for a number"
          placeholder="0.5, 0.1..0.2, >3, nan, -inf"
          value={searchText.value}
          spellcheck={false}
          autocomplete="off"
          onInput={(event) => (searchText.value = event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || !event.shiftKey) return;
            event.preventDefault();
            nextMatch(-1);
          }}
        />
        {hasBoth.value && (
          <select aria-label="Search in" value={canCompare.value || searchSide.value === "actual" ? searchSide.value : "expected"} onChange={(event) => (searchSide.value = event.currentTarget.value as SearchSide)}>
            {canCompare.value && <option value="either">either side</option>}
            <option value="expected">expected</option>
            <option value="actual">actual</option>
          </select>
        )}
        <span class="moves">
          <button type="button" data-testid="search-previous" onClick={() => nextMatch(-1)} aria-label="previous match" title="previous match (Shift+Enter)">‹</button>
          <button type="submit" data-testid="search-next" aria-label="next match" title="next match (Enter)">›</button>
        </span>
      </form>
      {(["expected", "actual"] as const).map((side) => {
        const cut = look[side];
        return cut && cut.shape.length > 0 ? <GoTo key={side} side={side} isNamed={look.view === "own" && hasBoth.value} example={cut.shape.map(() => 0).join(", ")} /> : null;
      })}
      <p class="said small" data-testid="search-message">{isFinding.value ? "looking…" : findMessage.value}</p>
    </div>
  );
}

function GoTo({ side, isNamed, example }: { side: "expected" | "actual"; isNamed: boolean; example: string }) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const name = isNamed ? `Go to index of ${side}` : "Go to index";
  return (
    <form
      class="search-part goto"
      onSubmit={(event) => {
        event.preventDefault();
        setWrong(goToIndex(text, side));
      }}
    >
      <input
        type="text"
        data-testid={side === "expected" || !isNamed ? "goto-index" : "goto-actual-index"}
        aria-label={name}
        aria-invalid={wrong !== null}
        placeholder={`${isNamed ? `${side} ` : "index "}${example}`}
        value={text}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          setText(event.currentTarget.value);
          setWrong(null);
        }}
      />
      <button type="submit">Go</button>
      {wrong && <span class="wrong small" role="alert">{wrong}</span>}
    </form>
  );
}

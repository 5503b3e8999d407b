import type { SideDetail } from "../api/types";
import { OwnIndices } from "../layout/own-indices";
import type { Cut, Look, SideKey } from "../state/tensor-place";
import { setCut, setMode, transpose } from "../state/tensor-view";
import { DimControl } from "./dim-control";

const MODES = [
  ["line", "1-D", "A line of numbers along one dim"],
  ["plane", "2-D", "Two dims as rows and columns"],
  ["flat", "Flat", "All numbers one after the other"],
] as const;

/** Which dims are shown how, and where one is in the others. */
export function DimMapper({ look, ranks }: { look: Look; ranks: SideDetail[] }) {
  const sides = (["expected", "actual"] as const).filter((side) => look[side] !== null);
  const dims = Math.max(...sides.map((side) => look[side]?.shape.length ?? 0));
  return (
    <section class="mapper" aria-label="Dims">
      <div class="mapper-head">
        <div class="segments" role="group" aria-label="Show the numbers as">
          {MODES.map(([mode, name, title]) => (
            <button
              type="button"
              key={mode}
              title={title}
              data-testid={`mode-${mode}`}
              aria-pressed={look.mode === mode}
              disabled={(mode === "plane" && dims < 2) || dims === 0}
              onClick={() => setMode(mode)}
            >
              {name}
            </button>
          ))}
        </div>
        <button type="button" disabled={look.mode === "flat" || dims < 2} onClick={transpose} title="Rows become columns" data-testid="transpose">
          ⇄ Transpose
        </button>
        {look.expected !== null && ranks.length > 0 && <OwnIndices view={look.view} canAlign={look.canAlign} />}
      </div>
      {sides.map((side) => (
        <SideDims key={side} side={side} look={look} cut={look[side] as Cut} isNamed={look.view === "own"} ranks={side === "actual" ? ranks : []} />
      ))}
    </section>
  );
}

interface SideProperties {
  side: SideKey;
  look: Look;
  cut: Cut;
  isNamed: boolean;
  ranks: SideDetail[];
}

function SideDims({ side, look, cut, isNamed, ranks }: SideProperties) {
  return (
    <fieldset class="dims">
      <legend class={isNamed ? "" : "unseen"}>{side}</legend>
      {ranks.length > 1 && (
        <label class="rank">
          rank{" "}
          <select value={cut.rank} data-testid="rank" onChange={(event) => setCut(side, { rank: Number(event.currentTarget.value) })}>
            {ranks.map((rank, place) => (
              <option key={place} value={place}>{rank.rank ?? place}</option>
            ))}
          </select>
        </label>
      )}
      {cut.shape.length === 0 && <p class="soft small">A single number: it has no dims.</p>}
      {cut.shape.map((size, dim) => (
        <DimControl key={dim} side={side} dim={dim} size={size} index={cut.at[dim] ?? 0} cut={cut} mode={look.mode} isLone={look.expected === null} />
      ))}
    </fieldset>
  );
}

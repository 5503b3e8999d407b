import type { Detail } from "../api/types";
import { look } from "../state/tensor-view";
import { DimMapper } from "./dim-mapper";
import { HeatMaps } from "./heat-maps";
import { Histogram } from "./histogram";
import { OwnStatistics } from "./own-statistics";
import { SearchBar } from "./search-bar";
import { Statistics } from "./statistics";
import { TensorHeader } from "./tensor-header";
import { ValueWindow } from "./value-window";
import "./search.css";
import "./tensor.css";

/** One pair of tensors: numbers side by side, heat maps, search. */
export function TensorView({ detail }: { detail: Detail }) {
  const now = look.value;
  return (
    <section class="tensor" data-testid="tensor-view" aria-label="Tensor">
      <TensorHeader detail={detail} />
      {now && (
        <>
          <DimMapper look={now} ranks={detail.actual} />
          <SearchBar look={now} />
          <ValueWindow look={now} />
          <HeatMaps look={now} measures={detail.measures} isComplex={[detail.expected, ...detail.actual].some((side) => side?.dtype.startsWith("complex"))} />
          <Histogram look={now} />
          {detail.measures ? <Statistics measures={detail.measures} /> : <OwnStatistics detail={detail} />}
        </>
      )}
    </section>
  );
}

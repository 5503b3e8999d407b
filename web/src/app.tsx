import { LayoutPanel } from "./layout/layout-panel";
import { TensorList } from "./list/tensor-list";
import { OpenScreen } from "./open/open-screen";
import { Unlock } from "./open/unlock";
import { Header } from "./share/header";
import { banner } from "./state/banner";
import { detail, isLocked, selectedRow, verdict } from "./state/page-state";
import { TensorView } from "./tensor/tensor-view";
import { VerdictView } from "./verdict/verdict-view";

export function App() {
  return (
    <>
      <Header />
      {banner.value && (
        <div class="banner" role="alert" data-testid="error-banner">
          <span>
            {banner.value.message}
            {banner.value.hint && <small> {banner.value.hint}</small>}
          </span>
          <button type="button" onClick={() => (banner.value = null)}>
            Close
          </button>
        </div>
      )}
      {isLocked.value ? <Unlock /> : verdict.value ? <Compared /> : <OpenScreen />}
    </>
  );
}

function Compared() {
  return (
    <div class="compared">
      <TensorList />
      <main class="main">
        {selectedRow.value === null ? (
          <VerdictView />
        ) : (
          detail.value && (
            <>
              <TensorView detail={detail.value} />
              <LayoutPanel detail={detail.value} />
            </>
          )
        )}
      </main>
    </div>
  );
}

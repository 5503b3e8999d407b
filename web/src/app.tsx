import { ComparingScreen } from "./frame/comparing-screen";
import { Notices } from "./frame/notices";
import { Part } from "./frame/part";
import { Starting } from "./frame/starting";
import { isListShown } from "./frame/list-shown";
import { HelpDialog } from "./keys/help-dialog";
import { LayoutPanel } from "./layout/layout-panel";
import { TensorList } from "./list/tensor-list";
import { DropHint } from "./open/drop-hint";
import { OpenScreen } from "./open/open-screen";
import { Unlock } from "./open/unlock";
import { Header } from "./share/header";
import { detail, isBusy, isLocked, isOpening, selectedRow, session, verdict, wasAsked } from "./state/page-state";
import { TensorView } from "./tensor/tensor-view";
import { VerdictView } from "./verdict/verdict-view";
import "./frame/frame.css";

export function App() {
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          // The fragment is the state of the page; it is not given away for this.
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to the content
      </a>
      <Header />
      <Notices />
      <Part name="this screen">
        <Screen />
      </Part>
      <HelpDialog />
      <DropHint />
    </>
  );
}

function Screen() {
  if (isLocked.value) return <Unlock />;
  if (session.value === null) return <Starting />;
  if (verdict.value && !isOpening.value) return <Compared />;
  return isBusy.value && !wasAsked.value && !isOpening.value ? <ComparingScreen /> : <OpenScreen />;
}

function Compared() {
  return (
    <div class={isListShown.value ? "compared" : "compared wide"}>
      <div class="side">
        <Part name="the list">
          <TensorList />
        </Part>
      </div>
      <main class="main" id="main" tabIndex={-1}>
        {selectedRow.value === null ? (
          <Part name="the verdict">
            <VerdictView />
          </Part>
        ) : detail.value ? (
          <Part name="the view of this tensor" of={detail.value.row}>
            <Tensor />
          </Part>
        ) : (
          <p class="reading soft">Reading…</p>
        )}
      </main>
    </div>
  );
}

function Tensor() {
  const shown = detail.value;
  if (!shown) return null;
  return (
    <>
      <Part name="the tensor" of={shown.row}>
        <TensorView detail={shown} />
      </Part>
      <Part name="the layout" of={shown.row}>
        <LayoutPanel detail={shown} />
      </Part>
    </>
  );
}

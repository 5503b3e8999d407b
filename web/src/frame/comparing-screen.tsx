import { Comparing } from "../open/comparing";
import { sides } from "../state/page-state";

/** Where the server was started with two runs: they are compared without being asked for. */
export function ComparingScreen() {
  const { expected, actual } = sides.value;
  return (
    <main class="screen" id="main" tabIndex={-1}>
      <div class="open">
        <h1>Comparing two runs</h1>
        <p class="soft names">
          {expected.map((item) => item.name).join(", ")} ↔ {actual.map((item) => item.name).join(", ")}
        </p>
        <Comparing />
      </div>
    </main>
  );
}

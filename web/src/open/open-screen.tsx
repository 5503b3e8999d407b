import { compare, isBusy, sides, verdict } from "../state/page-state";
import { areSettingsGood, checked } from "../state/settings";
import { swap } from "../state/side-files";
import { underway } from "../state/uploads";
import { Comparing } from "./comparing";
import { DropZone } from "./drop-zone";
import { Places } from "./places";
import { SettingsFields } from "./settings-fields";
import { UploadProgress } from "./upload-progress";
import "./open.css";

/** Two drop zones and the button. */
export function OpenScreen() {
  const missing = whatIsMissing();
  return (
    <main class="screen" id="main" tabIndex={-1}>
      <div class="open">
        <h1>{verdict.value ? "Open other runs" : "Which two runs?"}</h1>
        <p class="soft">
          Archives (.zip, .tar.gz), .safetensors, .npz, .pt and .pth, folders of them, recordings of outgrow. They stay on this machine.
        </p>
        <div class="zones">
          <DropZone side="expected" />
          <DropZone side="actual" />
        </div>
        <UploadProgress />
        {isBusy.value ? (
          <Comparing />
        ) : (
          <div class="go">
            <button
              type="button"
              class="primary large"
              data-testid="compare-button"
              disabled={missing !== null}
              aria-describedby="missing"
              onClick={() => void compare(checked.value.body)}
            >
              Compare
            </button>
            {sides.value.expected.length + sides.value.actual.length > 0 && (
              <button type="button" data-testid="swap-sides" disabled={underway.value.length > 0} onClick={() => void swap()}>
                ⇄ Exchange the sides
              </button>
            )}
            <span id="missing" class="soft">
              {missing}
            </span>
          </div>
        )}
        <SettingsFields />
        <Places />
      </div>
    </main>
  );
}

function whatIsMissing(): string | null {
  const { expected, actual } = sides.value;
  if (underway.value.length > 0) return "Files are on their way.";
  if (expected.length === 0 && actual.length === 0) return "Both sides are empty.";
  if (expected.length === 0) return "The expected side is empty.";
  if (actual.length === 0) return "The actual side is empty.";
  return areSettingsGood.value ? null : "A setting below is not right.";
}

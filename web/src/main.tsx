import { render } from "preact";

import { App } from "./app";
import { keepTitle } from "./frame/page-title";
import { listenToDrops } from "./open/drop-target";
import { report } from "./state/banner";
import { listenToKeys } from "./keys/key-actions";
import { begin } from "./state/session";
import "./style/theme.css";
import "./style/page.css";
import "./style/controls.css";

window.addEventListener("error", (event) => {
  // Chromium says so where what follows a size changes it once more: nothing is wrong.
  if (!event.message.startsWith("ResizeObserver loop")) report(event.error ?? event.message);
});
window.addEventListener("unhandledrejection", (event) => report(event.reason));

const root = document.getElementById("page");
if (root) {
  root.textContent = "";
  render(<App />, root);
}
listenToKeys();
listenToDrops();
keepTitle();
void begin();

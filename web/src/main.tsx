import { render } from "preact";

import { App } from "./app";
import { report } from "./state/banner";
import { listenToKeys } from "./keys/key-actions";
import { begin } from "./state/session";
import "./style/theme.css";
import "./style/page.css";
import "./style/controls.css";

window.addEventListener("error", (event) => report(event.error ?? event.message));
window.addEventListener("unhandledrejection", (event) => report(event.reason));

const root = document.getElementById("page");
if (root) {
  root.textContent = "";
  render(<App />, root);
}
listenToKeys();
void begin();

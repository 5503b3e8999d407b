import { render } from "preact";

import { App } from "./app";
import { begin } from "./state/page-state";
import "./style/theme.css";
import "./style/page.css";

const root = document.getElementById("page");
if (root) render(<App />, root);
void begin();

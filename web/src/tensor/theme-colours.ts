/** The colours of the heat maps, out of those of the theme. */

import { signal } from "@preact/signals";

import { mixed, parseColour, pixelOf, tableOf, type Palette } from "./heat-colours";

export interface HeatPalettes {
  values: Palette;
  difference: Palette;
}

function read(): HeatPalettes {
  const style = getComputedStyle(document.documentElement);
  const named = (name: string) => parseColour(style.getPropertyValue(`--${name}`));
  const [page, ink] = [named("page"), named("ink")];
  const beyond = (name: string) => mixed(named(name), ink, 0.55);
  const rest = { nan: pixelOf(named("lone")), infinite: pixelOf(named("ok")) };
  const [negative, positive, differs] = [named("negative"), named("positive"), named("differs")];
  return {
    values: { table: tableOf([beyond("negative"), negative, page, positive, beyond("positive")]), ...rest },
    // Of the difference only the magnitude is shown: one hue, ever farther from the page.
    difference: { table: tableOf([beyond("differs"), differs, page, differs, beyond("differs")]), ...rest },
  };
}

export const palettes = signal<HeatPalettes | null>(null);

/** Read them, and again whenever the system changes between dark and light. */
export function followTheme(): () => void {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const again = () => (palettes.value = read());
  again();
  query.addEventListener("change", again);
  return () => query.removeEventListener("change", again);
}

/** What the address says behind `#`: the token once, and where in the comparison one is. */

export interface Place {
  row?: number;
  /** Fixed index of each dim, as `3,0,7`. */
  at?: string;
  /** Everything else, by its own short name. */
  [name: string]: string | number | undefined;
}

/** `#token=…&row=3&at=0,1` as values; what is no number where one belongs is left out. */
export function parsePlace(fragment: string): { token: string | null; place: Place } {
  const params = new URLSearchParams(fragment.replace(/^#/, ""));
  const token = params.get("token");
  params.delete("token");
  const place: Place = {};
  for (const [name, value] of params) {
    if (name !== "row") place[name] = value;
    else if (/^\d{1,9}$/.test(value)) place.row = Number(value);
  }
  return { token, place };
}

/** The other way round, without the token. */
export function placeText(place: Place): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(place)) {
    if (value !== undefined && value !== "") params.set(name, String(value));
  }
  const text = params.toString().replaceAll("%2C", ",");
  return text ? `#${text}` : "";
}

import { placeText, type Place } from "../state/link";

/** The address of a view; with the token it opens in any tab of this machine. */
export function linkTo(origin: string, place: Place, token: string | null): string {
  const fragment = placeText(place).replace(/^#/, "");
  const parts = [token ? `token=${encodeURIComponent(token)}` : "", fragment].filter(Boolean);
  return `${origin}/${parts.length > 0 ? "#" : ""}${parts.join("&")}`;
}

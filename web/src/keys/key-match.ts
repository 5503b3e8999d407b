import { KEY_TABLE, type Action, type KeyRow, type Needs } from "./key-table";

/** What of a keyboard event decides. */
export interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  isComposing: boolean;
  /** Whether the focus is where letters are text. */
  isTyping: boolean;
}

/** The row of the table that a press means, given what is on the page; null for none. */
export function actionOf(pressed: Pressed, has: ReadonlySet<Needs>, table: readonly KeyRow[] = KEY_TABLE): Action | null {
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || pressed.isComposing) return null;
  if (pressed.isTyping && pressed.key !== "Escape") return null;
  const row = table.find((other) => other.action !== null && other.keys.includes(pressed.key) && has.has(other.needs));
  return row?.action ?? null;
}

const NO_TEXT = new Set(["button", "checkbox", "radio", "range", "submit", "reset", "file", "color", "image"]);

/** Whether letters pressed there are text. */
export function takesText(tag: string, type: string, isEditable: boolean): boolean {
  if (isEditable || tag === "TEXTAREA" || tag === "SELECT") return true;
  return tag === "INPUT" && !NO_TEXT.has(type);
}

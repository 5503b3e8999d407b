import { expect, test } from "vitest";

import { actionOf, takesText, type Pressed } from "./key-match";
import { KEY_TABLE, type Needs } from "./key-table";

const all = new Set<Needs>(["nothing", "comparison", "tensor"]);
const plain: Pressed = { key: "", ctrlKey: false, metaKey: false, altKey: false, isComposing: false, isTyping: false };

test("each key means one thing", () => {
  const keys = KEY_TABLE.filter((row) => row.action !== null).flatMap((row) => row.keys);
  expect(new Set(keys).size).toBe(keys.length);
});

test.each(KEY_TABLE.filter((row) => row.action !== null).flatMap((row) => row.keys.map((key) => [key, row.action] as const)))(
  "%s means %s",
  (key, action) => {
    expect(actionOf({ ...plain, key }, all)).toBe(action);
  },
);

test.each(["ctrlKey", "metaKey", "altKey", "isComposing", "isTyping"] as const)("with %s it means nothing", (name) => {
  expect(actionOf({ ...plain, key: "j", [name]: true }, all)).toBeNull();
});

test("Escape leaves a field, too", () => {
  expect(actionOf({ ...plain, key: "Escape", isTyping: true }, all)).toBe("leave");
});

test("keys wait for what they need", () => {
  const has = new Set<Needs>(["nothing", "comparison"]);
  expect(actionOf({ ...plain, key: "m" }, has)).toBeNull();
  expect(actionOf({ ...plain, key: "j" }, has)).toBe("next-tensor");
  expect(actionOf({ ...plain, key: "j" }, new Set(["nothing"]))).toBeNull();
});

test("arrows are left to the parts of the page", () => {
  expect(actionOf({ ...plain, key: "ArrowDown" }, all)).toBeNull();
});

test("letters are text in fields, and nowhere else", () => {
  expect(takesText("INPUT", "search", false)).toBe(true);
  expect(takesText("INPUT", "number", false)).toBe(true);
  expect(takesText("TEXTAREA", "", false)).toBe(true);
  expect(takesText("SELECT", "", false)).toBe(true);
  expect(takesText("DIV", "", true)).toBe(true);
  expect(takesText("INPUT", "range", false)).toBe(false);
  expect(takesText("INPUT", "checkbox", false)).toBe(false);
  expect(takesText("BUTTON", "", false)).toBe(false);
});

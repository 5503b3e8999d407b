import { expect, test } from "vitest";

import { parsePlace } from "../state/link";
import { linkTo } from "./share-link";

test("a link leads back to the view", () => {
  const place = { row: 3, at: "0,7", filter: "a&b=c" };
  const link = linkTo("http://127.0.0.1:5000", place, null);
  expect(link).not.toContain("token");
  expect(parsePlace(new URL(link).hash)).toEqual({ token: null, place });
});

test("with a token it carries both", () => {
  const link = linkTo("http://127.0.0.1:5000", { row: 1 }, "a-b_c");
  expect(parsePlace(new URL(link).hash)).toEqual({ token: "a-b_c", place: { row: 1 } });
});

test("of nothing it is the page alone", () => {
  expect(linkTo("http://127.0.0.1:5000", {}, null)).toBe("http://127.0.0.1:5000/");
});

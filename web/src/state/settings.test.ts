import { expect, test } from "vitest";

import { checkSettings } from "./settings";

const none = { exact: false, rtol: "", atol: "", only: "" };

test("nothing is asked for by itself", () => {
  expect(checkSettings(none)).toEqual({ body: {}, faults: {} });
});

test("numbers are read as they are written", () => {
  const { body, faults } = checkSettings({ exact: true, rtol: " 1e-5", atol: "0", only: " layers.* " });
  expect(faults).toEqual({});
  expect(body).toEqual({ exact: true, rtol: 1e-5, atol: 0, only: "layers.*" });
});

test.each(["-1", "nan", "1,5", "Infinity", "x"])("%s is no tolerance", (text) => {
  const { body, faults } = checkSettings({ ...none, rtol: text });
  expect(faults.rtol).toBeDefined();
  expect(body.rtol).toBeUndefined();
});

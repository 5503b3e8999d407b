import { expect, test } from "vitest";

import { cellUnder, panned, settled, showing, wholeOf, zoomed } from "./viewport";

const extent = { rows: 100, columns: 200 };

test("zooming keeps the cell under the pointer where it is", () => {
  const part = zoomed(null, extent, 2, 25, 100);
  expect(part).toEqual({ row0: 12.5, column0: 50, height: 50, width: 100 });
  expect((25 - 12.5) / 50).toBe(25 / 100);
  expect(cellUnder(part, extent, 0.25, 0.5)).toEqual({ row: 25, column: 100 });
});

test("zooming out ends with all of it, zooming in with a few cells", () => {
  const part = zoomed(null, extent, 2, 0, 0);
  expect(zoomed(part, extent, 0.1, 10, 10)).toBeNull();
  expect(zoomed(null, extent, 1e6, 50, 50)).toMatchObject({ height: 4, width: 4 });
  expect(zoomed(null, { rows: 1, columns: 2 }, 10, 0, 0)).toBeNull();
});

test("panning stays within the plane", () => {
  const part = { row0: 10, column0: 10, height: 20, width: 20 };
  expect(panned(part, extent, -50, 500)).toEqual({ row0: 0, column0: 180, height: 20, width: 20 });
  expect(panned(null, extent, 5, 5)).toBeNull();
  expect(settled(wholeOf(extent), extent)).toBeNull();
});

test("a cell outside is brought into view by the shortest way", () => {
  const part = { row0: 10, column0: 10, height: 20, width: 20 };
  expect(showing(part, extent, 15, 15)).toEqual(part);
  expect(showing(part, extent, 40, 3)).toEqual({ row0: 21, column0: 3, height: 20, width: 20 });
  expect(cellUnder(null, extent, 1, 1)).toEqual({ row: 99, column: 199 });
});

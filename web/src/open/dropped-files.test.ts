import { expect, test } from "vitest";

import { filesOf, inOrder } from "./dropped-files";

test("ranks are in the order of their numbers", () => {
  const paths = ["rank10.pt", "rank2.pt", "a/rank1.pt"].map((path) => ({ path }));
  expect(inOrder(paths).map(({ path }) => path)).toEqual(["a/rank1.pt", "rank2.pt", "rank10.pt"]);
});

function file(path: string): FileSystemFileEntry {
  const name = path.split("/").at(-1) ?? "";
  return {
    isFile: true, isDirectory: false, name, fullPath: path, file: (take: (file: File) => void) => take(new File(["x"], name)),
  } as unknown as FileSystemFileEntry;
}

function folder(path: string, entries: FileSystemEntry[]): FileSystemDirectoryEntry {
  return {
    isFile: false, isDirectory: true, name: path.split("/").at(-1), fullPath: path,
    createReader: () => {
      let rest = [...entries];
      return { readEntries: (take: (some: FileSystemEntry[]) => void) => take(rest.splice(0, 100)) };
    },
  } as unknown as FileSystemDirectoryEntry;
}

test("folders are walked to their end, hidden files left where they are", async () => {
  const many = Array.from({ length: 250 }, (_, number) => file(`/dump/deep/${number}_query.pth`));
  const found = await filesOf([folder("/dump", [file("/dump/.DS_Store"), folder("/dump/deep", many)])]);
  expect(found).toHaveLength(250);
  expect(found.at(-1)?.path).toBe("dump/deep/249_query.pth");
});

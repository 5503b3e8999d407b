// Writes down of which sources the built page is, so that a test can tell without Node when one of both was changed alone.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const here = import.meta.dirname;
const built = join(here, "../src/outgrow/compare/web/static");
const RECORD = "build.json";
const SOURCES = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src"];

function files(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path).flatMap((name) => files(join(path, name)));
}

function digests(root, paths) {
  const found = paths.flatMap((path) => files(join(root, path))).filter((path) => !path.endsWith(".test.ts"));
  const pairs = found.map((path) => [
    relative(root, path).replaceAll("\\", "/"),
    createHash("sha256").update(readFileSync(path)).digest("hex"),
  ]);
  return Object.fromEntries(pairs.filter(([name]) => name !== RECORD).sort(([one], [other]) => (one < other ? -1 : 1)));
}

const record = { sources: digests(here, SOURCES), built: digests(built, ["."]) };
writeFileSync(join(built, RECORD), `${JSON.stringify(record, null, 1)}\n`);

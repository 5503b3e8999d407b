/** Files of what was dropped, folders included. */

/** Folders deeper than this hold no dump. */
const MOST_DEEP = 8;

/** The entries of a drop; to be asked for while the event is handled, since the browser forgets them. */
export function entriesOf(data: DataTransfer): (FileSystemEntry | File)[] {
  return [...data.items].flatMap((item) => {
    if (item.kind !== "file") return [];
    const found = item.webkitGetAsEntry() ?? item.getAsFile();
    return found ? [found] : [];
  });
}

/** A file, and its path in the folder that was dropped or picked. */
export interface Named {
  path: string;
  file: File;
}

/** All files in them, in natural order of their paths; hidden ones are left out. */
export async function filesOf(entries: readonly (FileSystemEntry | File)[]): Promise<Named[]> {
  const found: Named[] = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ path: entry.name, file: entry });
    else await walk(entry, 0, found);
  }
  return inOrder(found);
}

/** `rank2` before `rank10`. */
export function inOrder<T extends { path: string }>(found: readonly T[]): T[] {
  return [...found].sort((one, other) => one.path.localeCompare(other.path, "en", { numeric: true }));
}

/** What was picked, without hidden files of folders. */
export function pickedFiles(files: FileList | null): Named[] {
  const named = [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  return inOrder(named.filter(({ path }) => !/\/\./.test(path)));
}

async function walk(entry: FileSystemEntry, depth: number, found: Named[]): Promise<void> {
  if (depth > 0 && entry.name.startsWith(".")) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\/+/, ""), file });
  } else if (entry.isDirectory && depth < MOST_DEEP) {
    for (const child of await children(entry as FileSystemDirectoryEntry)) await walk(child, depth + 1, found);
  }
}

async function children(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    // A hundred at a time, until there are none.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

/** Files from a drop, folders and all, or from a picker. */
export interface Gathered {
  file: File;
  path: string;
}

function entriesOf(directory: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  return new Promise((resolve, reject) => directory.readEntries(resolve, reject));
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function* walk(entry: FileSystemEntry): AsyncGenerator<Gathered> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    yield { file: await fileOf(entry as FileSystemFileEntry), path };
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // Chromium hands over at most 100 entries a call: ask until it has no more.
  for (let batch = await entriesOf(reader); batch.length > 0; batch = await entriesOf(reader))
    for (const child of batch) yield* walk(child);
}

/**
 * The entries must be taken while the drop event is handled: afterwards the browser empties it.
 */
export function takeDrop(transfer: DataTransfer): AsyncGenerator<Gathered> {
  const entries: FileSystemEntry[] = [];
  const loose: File[] = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry();
    const file = entry ? null : item.getAsFile();
    if (entry) entries.push(entry);
    if (file) loose.push(file);
  }
  return (async function* () {
    for (const entry of entries) yield* walk(entry);
    yield* takeList(loose);
  })();
}

export async function* takeList(files: Iterable<File>): AsyncGenerator<Gathered> {
  for (const file of files) yield { file, path: file.webkitRelativePath || file.name };
}

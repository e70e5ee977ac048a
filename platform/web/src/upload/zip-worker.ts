/** Unpacks one archive beside the page, an entry at a time, no further ahead than the page allows. */
import { listEntries, unpack, ZipError } from "./zip";

export type ToWorker = { type: "open"; archive: File } | { type: "next" };

export type FromWorker =
  | { type: "opened"; count: number }
  | { type: "entry"; name: string; file: Blob }
  | { type: "skipped"; name: string; reason: string }
  | { type: "failed"; reason: string }
  | { type: "end" };

const post = (message: FromWorker): void => self.postMessage(message);
const reasonOf = (error: unknown): string =>
  error instanceof ZipError ? error.message : "The ZIP could not be read.";

let waiting: (() => void) | null = null;

async function run(archive: File): Promise<void> {
  const entries = await listEntries(archive);
  post({ type: "opened", count: entries.length });
  for (const entry of entries) {
    await new Promise<void>((resolve) => {
      waiting = resolve;
    });
    try {
      post({ type: "entry", name: entry.name, file: await unpack(archive, entry) });
    } catch (error) {
      post({ type: "skipped", name: entry.name, reason: reasonOf(error) });
    }
  }
  post({ type: "end" });
}

self.onmessage = (event: MessageEvent<ToWorker>) => {
  if (event.data.type === "next") waiting?.();
  else run(event.data.archive).catch((error: unknown) => post({ type: "failed", reason: reasonOf(error) }));
};

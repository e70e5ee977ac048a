import type { FromWorker, ToWorker } from "./zip-worker";

export type Unzipped =
  | { kind: "opened"; count: number }
  | { kind: "entry"; name: string; file: Blob }
  | { kind: "skipped"; name: string; reason: string };

/** The entries of an archive, unpacked by a worker as they are asked for. Throws Error with a sentence. */
export async function* unzip(archive: File, signal: AbortSignal): AsyncGenerator<Unzipped> {
  const worker = new Worker(new URL("./zip-worker.ts", import.meta.url), { type: "module" });
  const arrived: FromWorker[] = [];
  let wake = (): void => {};
  worker.onmessage = (event: MessageEvent<FromWorker>) => {
    arrived.push(event.data);
    wake();
  };
  worker.onerror = () => {
    arrived.push({ type: "failed", reason: "The ZIP could not be unpacked by this browser." });
    wake();
  };
  signal.addEventListener("abort", () => wake());
  const ask = (message: ToWorker): void => worker.postMessage(message);
  try {
    ask({ type: "open", archive });
    while (!signal.aborted) {
      const message = arrived.shift();
      if (!message) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if (message.type === "end") return;
      if (message.type === "failed") throw new Error(message.reason);
      if (message.type === "opened") yield { kind: "opened", count: message.count };
      else if (message.type === "entry") yield { kind: "entry", name: message.name, file: message.file };
      else yield { kind: "skipped", name: message.name, reason: message.reason };
      ask({ type: "next" });
    }
  } finally {
    worker.terminate();
  }
}

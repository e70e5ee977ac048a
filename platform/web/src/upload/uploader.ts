import { backoffMs } from "../api/backoff";
import { asProblem, isAbort, type Problem } from "../api/problem";
import type { Gathered } from "./gather";
import type { PostOptions } from "./post";
import type { Sniffed } from "./sniff";
import type { StowOutcome, UploadItem } from "./stow";
import type { Unzipped } from "./unzip";

export type Phase = "idle" | "sending" | "waiting" | "done" | "cancelled" | "refused";

export interface Failure {
  path: string;
  reason: string;
  /** Set where sending it again may help. */
  item: UploadItem | null;
}

export interface Progress {
  phase: Phase;
  isGathering: boolean;
  filesFound: number;
  filesStored: number;
  bytesFound: number;
  bytesSent: number;
  skipped: { path: string; reason: string }[];
  failures: Failure[];
  studyInstanceUids: string[];
  /** Why it waits or was refused. */
  sentence: string;
}

export interface UploaderOptions {
  post: (items: readonly UploadItem[], options: PostOptions) => Promise<StowOutcome>;
  sniff: (file: Blob, name: string) => Promise<Sniffed>;
  unzip: (archive: File, signal: AbortSignal) => AsyncGenerator<Unzipped>;
  onChange: (progress: Progress) => void;
  pause?: (ms: number) => Promise<void>;
}

const BATCH_FILES = 10;
const BATCH_BYTES = 16 * 2 ** 20;
const PARALLEL = 3;
/** How much may lie unpacked and unsent. */
const AHEAD_BYTES = 128 * 2 ** 20;

/** Something to wait for: everybody who waits goes on when it is said. */
class Signal {
  #listeners: (() => void)[] = [];

  next(): Promise<void> {
    return new Promise((resolve) => this.#listeners.push(resolve));
  }

  say(): void {
    for (const listener of this.#listeners.splice(0)) listener();
  }
}

/** One upload from choosing to the last answer: gathers, sends in batches, waits out lost connections. */
export class Uploader {
  #options: UploaderOptions;
  #abort = new AbortController();
  #queue: UploadItem[] = [];
  #queuedBytes = 0;
  #seen = new Set<string>();
  #inFlight = new Map<number, number>();
  #ticket = 0;
  #producers = 0;
  #workers = 0;
  #institutionId: string | null = null;
  #queueChanged = new Signal();
  #wayClear = new Signal();
  #storedBytes = 0;
  #progress: Progress = {
    phase: "idle",
    isGathering: false,
    filesFound: 0,
    filesStored: 0,
    bytesFound: 0,
    bytesSent: 0,
    skipped: [],
    failures: [],
    studyInstanceUids: [],
    sentence: "",
  };

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  get isBusy(): boolean {
    return this.#progress.phase === "sending" || this.#progress.phase === "waiting";
  }

  /** Add files; may be called again while it runs. The same file twice is sent once. */
  async add(source: AsyncIterable<Gathered>, institutionId: string | null): Promise<void> {
    this.#institutionId = institutionId;
    this.#producers += 1;
    this.#change({ phase: "sending", isGathering: true });
    this.#startWorkers();
    try {
      for await (const { file, path } of source) {
        if (this.#abort.signal.aborted) return;
        const identity = `${path}|${file.size}|${file.lastModified}`;
        if (this.#seen.has(identity)) continue;
        this.#seen.add(identity);
        await this.#take(file, path, false);
      }
    } catch (error) {
      this.#skip("The chosen folder", `Could not be read: ${asProblem(error).message}`);
    } finally {
      this.#producers -= 1;
      this.#change({ isGathering: this.#producers > 0 });
      this.#finishIfDone();
    }
  }

  retryFailed(): void {
    const items = this.#progress.failures.flatMap((failure) => failure.item ?? []);
    this.#change({ phase: "sending", failures: this.#progress.failures.filter((failure) => !failure.item) });
    this.#enqueue(items);
    this.#startWorkers();
  }

  cancel(): void {
    this.#abort.abort();
    this.#queue = [];
    this.#queueChanged.say();
    this.#wayClear.say();
    this.#change({ phase: "cancelled", isGathering: false, sentence: "" });
  }

  /** The network or the session came back. */
  resume(): void {
    this.#wayClear.say();
  }

  async #take(file: Blob, path: string, isInArchive: boolean): Promise<void> {
    const found = await this.#options.sniff(file, path);
    if (found.kind === "other") this.#skip(path, found.reason);
    else if (found.kind === "dicom") {
      this.#change({
        filesFound: this.#progress.filesFound + 1,
        bytesFound: this.#progress.bytesFound + file.size,
      });
      this.#enqueue([{ path, file, sopInstanceUid: found.sopInstanceUid }]);
    } else if (isInArchive) this.#skip(path, "A ZIP inside a ZIP. Unpack it first.");
    else await this.#unpack(file as File, path);
  }

  async #unpack(archive: File, path: string): Promise<void> {
    try {
      for await (const entry of this.#options.unzip(archive, this.#abort.signal)) {
        if (entry.kind === "entry") await this.#take(entry.file, `${path}/${entry.name}`, true);
        else if (entry.kind === "skipped") this.#skip(`${path}/${entry.name}`, entry.reason);
        while (this.#queuedBytes > AHEAD_BYTES && !this.#abort.signal.aborted)
          await this.#queueChanged.next();
      }
    } catch (error) {
      this.#skip(path, error instanceof Error ? error.message : String(error));
    }
  }

  #enqueue(items: readonly UploadItem[]): void {
    this.#queue.push(...items);
    for (const item of items) this.#queuedBytes += item.file.size;
    this.#queueChanged.say();
  }

  #takeBatch(): UploadItem[] {
    let size = 0;
    let files = 0;
    for (const item of this.#queue) {
      if (files > 0 && (files === BATCH_FILES || size + item.file.size > BATCH_BYTES)) break;
      size += item.file.size;
      files += 1;
    }
    // Small batches are worth waiting for while more files are being found.
    const isFull = files === BATCH_FILES || files < this.#queue.length;
    if (!isFull && this.#producers > 0 && size < BATCH_BYTES) return [];
    this.#queuedBytes -= size;
    if (files > 0) this.#queueChanged.say();
    return this.#queue.splice(0, files);
  }

  #startWorkers(): void {
    while (this.#workers < PARALLEL) {
      this.#workers += 1;
      void this.#work().finally(() => {
        this.#workers -= 1;
        this.#finishIfDone();
      });
    }
  }

  async #work(): Promise<void> {
    while (!this.#abort.signal.aborted && this.#progress.phase !== "refused") {
      const batch = this.#takeBatch();
      if (batch.length > 0) await this.#send(batch);
      else if (this.#producers > 0) await this.#queueChanged.next();
      else return;
    }
  }

  async #send(batch: readonly UploadItem[]): Promise<void> {
    const ticket = this.#ticket++;
    for (let attempt = 0; !this.#abort.signal.aborted; attempt += 1) {
      try {
        const outcome = await this.#options.post(batch, {
          institutionId: this.#institutionId,
          signal: this.#abort.signal,
          onProgress: (sent) => {
            this.#inFlight.set(ticket, sent);
            this.#change({ bytesSent: this.#bytesSent(), ...this.#moving() });
          },
        });
        this.#inFlight.delete(ticket);
        this.#record(outcome);
        return;
      } catch (error) {
        this.#inFlight.delete(ticket);
        if (isAbort(error)) return;
        const problem = asProblem(error);
        if (!(await this.#recover(batch, problem, attempt))) return;
      }
    }
  }

  /** True: send the batch again. */
  async #recover(batch: readonly UploadItem[], problem: Problem, attempt: number): Promise<boolean> {
    if (problem.isTransient || problem.status === 401) {
      const sentence =
        problem.status === 401 ? "Signed out. Sign in again to go on." : "Connection lost. Trying again…";
      if (this.isBusy) this.#change({ phase: "waiting", sentence, bytesSent: this.#bytesSent() });
      const pause = this.#options.pause ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
      const clear = this.#wayClear.next();
      await (problem.status === 401 ? clear : Promise.race([pause(backoffMs(attempt, Math.random)), clear]));
      return true;
    }
    if (problem.status === 413 && batch.length > 1) {
      await this.#send(batch.slice(0, batch.length >> 1));
      await this.#send(batch.slice(batch.length >> 1));
      return false;
    }
    if (problem.status === 403) {
      // The whole upload may not happen: asking again file by file would only fill the audit trail.
      this.#queue = [];
      this.#change({ phase: "refused", sentence: problem.message });
    }
    const failures = batch.map((item) => ({ path: item.path, reason: problem.message, item }));
    this.#change({ failures: [...this.#progress.failures, ...failures] });
    return false;
  }

  #record({ stored, failed, studyInstanceUids }: StowOutcome): void {
    for (const item of stored) this.#storedBytes += item.file.size;
    const failures = failed.map(({ item, reason }) => ({ path: item.path, reason, item }));
    this.#change({
      ...this.#moving(),
      filesStored: this.#progress.filesStored + stored.length,
      bytesSent: this.#bytesSent(),
      failures: [...this.#progress.failures, ...failures],
      studyInstanceUids: [...new Set([...this.#progress.studyInstanceUids, ...studyInstanceUids])],
    });
  }

  #bytesSent(): number {
    const inFlight = [...this.#inFlight.values()].reduce((sum, sent) => sum + sent, 0);
    return Math.min(this.#progress.bytesFound, this.#storedBytes + inFlight);
  }

  #skip(path: string, reason: string): void {
    this.#change({ skipped: [...this.#progress.skipped, { path, reason }] });
  }

  /** Back from waiting; a refusal or a cancellation stays. */
  #moving(): Partial<Progress> {
    return this.#progress.phase === "waiting" ? { phase: "sending", sentence: "" } : {};
  }

  #finishIfDone(): void {
    this.#queueChanged.say();
    if (this.#producers > 0 || this.#workers > 0 || this.#queue.length > 0) return;
    if (this.isBusy) this.#change({ phase: "done", sentence: "" });
  }

  #change(part: Partial<Progress>): void {
    this.#progress = { ...this.#progress, ...part };
    this.#options.onChange(this.#progress);
  }
}

import { expect, test, vi } from "vitest";
import { Problem } from "../src/api/problem";
import type { Gathered } from "../src/upload/gather";
import type { StowOutcome, UploadItem } from "../src/upload/stow";
import { type Progress, Uploader, type UploaderOptions } from "../src/upload/uploader";

async function* files(count: number, prefix = "f"): AsyncGenerator<Gathered> {
  for (let at = 0; at < count; at += 1)
    yield { file: new File(["0123456789"], `${prefix}${at}`, { lastModified: 1 }), path: `${prefix}${at}` };
}

const problem = (status: number, detail = ""): Problem =>
  new Problem({ status, code: "x", title: "x", detail, correlationId: "" });

const storedAll = (items: readonly UploadItem[]): StowOutcome => ({
  stored: [...items],
  failed: [],
  studyInstanceUids: ["1.2"],
});

function arrange(post: UploaderOptions["post"]) {
  let progress: Progress | null = null;
  const uploader = new Uploader({
    post,
    sniff: async (_, name) =>
      name.endsWith(".txt")
        ? { kind: "other", reason: "Not a DICOM file." }
        : { kind: "dicom", sopInstanceUid: name },
    unzip: async function* () {},
    pause: async () => {},
    onChange: (next) => {
      progress = next;
    },
  });
  return { uploader, now: (): Progress => progress ?? expect.fail("nothing happened") };
}

const until = (now: () => Progress, phase: string) => vi.waitFor(() => expect(now().phase).toBe(phase));

test("uploader_sends_in_batches_of_ten_when_files_are_small", async () => {
  const sizes: number[] = [];
  const { uploader, now } = arrange(async (items) => {
    sizes.push(items.length);
    return storedAll(items);
  });
  await uploader.add(files(25), null);
  await until(now, "done");
  expect(sizes.sort((one, other) => other - one)).toEqual([10, 10, 5]);
  expect(now()).toMatchObject({
    filesFound: 25,
    filesStored: 25,
    bytesSent: 250,
    studyInstanceUids: ["1.2"],
  });
});

test("uploader_sends_a_file_once_when_it_is_dropped_twice", async () => {
  const { uploader, now } = arrange(async (items) => storedAll(items));
  await Promise.all([uploader.add(files(3), null), uploader.add(files(3), null)]);
  await until(now, "done");
  expect(now().filesStored).toBe(3);
});

test("uploader_goes_on_when_the_connection_comes_back", async () => {
  let attempts = 0;
  const phases = new Set<string>();
  const { uploader, now } = arrange(async (items) => {
    attempts += 1;
    if (attempts <= 3) throw problem(attempts === 3 ? 503 : 0);
    phases.add(now().phase);
    return storedAll(items);
  });
  await uploader.add(files(4), null);
  await until(now, "done");
  expect(phases.has("waiting")).toBe(true);
  expect(now()).toMatchObject({ filesStored: 4, failures: [] });
});

test("uploader_stops_when_the_agreement_forbids", async () => {
  let attempts = 0;
  const { uploader, now } = arrange(async () => {
    attempts += 1;
    throw problem(403, "The agreement is not in force.");
  });
  await uploader.add(files(200), null);
  await until(now, "refused");
  await vi.waitFor(() => expect(now().isGathering).toBe(false));
  expect(now().sentence).toBe("The agreement is not in force.");
  expect(attempts).toBeLessThanOrEqual(3);
  expect(now().filesStored).toBe(0);
});

test("uploader_waits_for_sign_in_when_the_session_ends", async () => {
  let isSignedIn = false;
  const { uploader, now } = arrange(async (items) => {
    if (!isSignedIn) throw problem(401);
    return storedAll(items);
  });
  await uploader.add(files(2), null);
  await until(now, "waiting");
  isSignedIn = true;
  uploader.resume();
  await until(now, "done");
  expect(now().filesStored).toBe(2);
});

test("uploader_splits_a_batch_when_it_is_too_large", async () => {
  const { uploader, now } = arrange(async (items) => {
    if (items.length > 2) throw problem(413);
    return storedAll(items);
  });
  await uploader.add(files(7), null);
  await until(now, "done");
  expect(now()).toMatchObject({ filesStored: 7, failures: [] });
});

test("retryFailed_sends_only_the_failed_when_asked", async () => {
  const sent: string[][] = [];
  const { uploader, now } = arrange(async (items) => {
    sent.push(items.map(({ path }) => path));
    const isFirst = sent.length === 1;
    const bad = items.filter(({ path }) => isFirst && path === "f1");
    return {
      stored: items.filter((item) => !bad.includes(item)),
      failed: bad.map((item) => ({ item, reason: "Busy." })),
      studyInstanceUids: [],
    };
  });
  await uploader.add(files(3), null);
  await until(now, "done");
  expect(now().failures.map(({ path, reason }) => [path, reason])).toEqual([["f1", "Busy."]]);
  uploader.retryFailed();
  await vi.waitFor(() => expect(now()).toMatchObject({ phase: "done", filesStored: 3, failures: [] }));
  expect(sent).toEqual([["f0", "f1", "f2"], ["f1"]]);
});

test("uploader_counts_what_it_skips_when_files_are_not_dicom", async () => {
  const { uploader, now } = arrange(async (items) => storedAll(items));
  await uploader.add(
    (async function* () {
      yield { file: new File(["x"], "a.txt"), path: "a.txt" };
      yield* files(1);
    })(),
    null,
  );
  await until(now, "done");
  expect(now().skipped).toEqual([{ path: "a.txt", reason: "Not a DICOM file." }]);
  expect(now().filesStored).toBe(1);
});

test("cancel_sends_no_more_when_pressed", async () => {
  const { uploader, now } = arrange(
    (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      }),
  );
  await uploader.add(files(40), null);
  uploader.cancel();
  await until(now, "cancelled");
  await new Promise((resolve) => setTimeout(resolve));
  expect(now()).toMatchObject({ phase: "cancelled", filesStored: 0, failures: [] });
});

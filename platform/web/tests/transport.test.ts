import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Instance, VoiWindow } from "../src/api/types";
import { SliceLoader } from "../src/transport/loader";
import { Lru } from "../src/transport/lru";
import { loadedRuns, prefetchOrder } from "../src/transport/order";
import { renderedUrl, type Slice, sliceWord, spacingOf } from "../src/transport/stack";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("prefetchOrder_goes_near_first_when_scrolling_down", () => {
  expect(prefetchOrder(10, 1, 100, 5)).toEqual([10, 11, 9, 12, 8, 13, 14, 15]);
});

test("prefetchOrder_turns_when_scrolling_turns", () => {
  expect(prefetchOrder(10, -1, 100, 4)).toEqual([10, 9, 11, 8, 12, 7, 6]);
});

test("prefetchOrder_stays_inside_when_at_the_end", () => {
  expect(prefetchOrder(0, -1, 3, 10)).toEqual([0, 1, 2]);
});

test("loadedRuns_joins_neighbours_when_loaded", () => {
  expect(loadedRuns([true, true, false, true])).toEqual([
    [0, 1],
    [3, 3],
  ]);
});

test("lru_drops_the_oldest_when_full", () => {
  const gone: string[] = [];
  const lru = new Lru<string>(10, (value) => gone.push(value));
  lru.set("a", "A", 4);
  lru.set("b", "B", 4);
  lru.get("a");
  lru.set("c", "C", 4);
  expect([lru.has("a"), lru.has("b"), lru.has("c"), ...gone]).toEqual([true, false, true, "B"]);
});

test("renderedUrl_names_the_frame_when_there_are_several", () => {
  const instance = { sop_instance_uid: "3", frames: 2 } as Instance;
  expect(renderedUrl("/dw", "1", "2", { instance, frame: 2 })).toBe(
    "/dw/studies/1/series/2/instances/3/frames/2/rendered",
  );
});

const readable = async (): Promise<ImageBitmap> => ({ close: () => {} }) as ImageBitmap;

function arrangeLoader(count: number, decode = readable) {
  const slices = Array.from({ length: count }, (_, at): Slice => {
    const instance = { sop_instance_uid: String(at), columns: 512, rows: 512, frames: 1 } as Instance;
    return { instance, frame: 1 };
  });
  const asked: {
    url: string;
    accept: string;
    signal: AbortSignal;
    answer: (window?: VoiWindow) => void;
    refuse: (error: unknown) => void;
  }[] = [];
  const arrivals: number[] = [];
  const loader = new SliceLoader(slices, {
    urlOf: (slice) => slice.instance.sop_instance_uid,
    fetchPicture: (url, accept, signal) =>
      new Promise((resolve, refuse) => {
        const answer = (window: VoiWindow | null = null): void => resolve({ blob: new Blob(["x"]), window });
        asked.push({ url, accept, signal, answer, refuse });
      }),
    decode,
    onArrival: (index) => arrivals.push(index),
  });
  const live = (): string[] =>
    asked.filter(({ signal }) => !signal.aborted).map(({ url }) => url.split("?")[0] ?? "");
  return { loader, asked, arrivals, live };
}

const WINDOW = { center: 40, width: 400 };

test("loader_asks_for_the_slice_and_its_neighbours_when_looked_at", () => {
  const { loader, asked, live } = arrangeLoader(50);
  loader.look(10, WINDOW, 1);
  expect(live()).toEqual(["10", "11", "9", "12"]);
  expect(asked[0]).toMatchObject({ url: "10?window=40,400,linear&quality=80", accept: "image/jpeg" });
});

test("loader_drops_what_lies_behind_when_scrolling_turns", () => {
  const { loader, asked, live } = arrangeLoader(50);
  loader.look(10, WINDOW, 1);
  loader.look(30, WINDOW, 1);
  loader.look(29, WINDOW, 1);
  expect(live()).toEqual(["30", "29", "28", "27"]);
  expect(asked.filter(({ signal }) => signal.aborted).length).toBeGreaterThan(3);
});

test("loader_fetches_losslessly_when_the_slice_has_settled", async () => {
  const { loader, asked } = arrangeLoader(50);
  loader.look(10, WINDOW, 1);
  vi.advanceTimersByTime(199);
  expect(asked.some(({ accept }) => accept === "image/png")).toBe(false);
  vi.advanceTimersByTime(1);
  expect(asked.at(-1)).toMatchObject({ url: "10?window=40,400,linear", accept: "image/png" });
});

test("best_prefers_lossless_when_both_have_come", async () => {
  const { loader, asked, arrivals } = arrangeLoader(3);
  loader.look(1, WINDOW, 1);
  asked[0]?.answer();
  await vi.waitFor(() => expect(arrivals).toEqual([1]));
  expect((await loader.best())?.tier).toBe("motion");
  vi.advanceTimersByTime(200);
  asked.find(({ accept }) => accept === "image/png")?.answer();
  await vi.waitFor(() => expect(arrivals).toEqual([1, 1]));
  expect((await loader.best())?.tier).toBe("still");
});

test("best_offers_the_former_window_when_the_new_one_is_not_here", async () => {
  const { loader, asked, arrivals } = arrangeLoader(3);
  loader.look(1, WINDOW, 1);
  asked[0]?.answer();
  await vi.waitFor(() => expect(arrivals).toEqual([1]));
  loader.look(1, { center: 480, width: 2500 }, 1);
  expect((await loader.best())?.window).toEqual(WINDOW);
});

test("loader_asks_for_a_smaller_picture_when_the_screen_is_small", () => {
  const { loader, asked } = arrangeLoader(3);
  loader.look(1, WINDOW, 0.4);
  expect(asked[0]?.url).toContain("viewport=256,256");
});

test("best_is_in_the_servers_window_when_none_was_asked_for", async () => {
  const { loader, asked, arrivals } = arrangeLoader(1);
  loader.look(0, null, 1);
  expect(asked[0]?.url).toBe("0?quality=80");
  asked[0]?.answer(WINDOW);
  await vi.waitFor(() => expect(arrivals).toEqual([0]));
  expect(await loader.best()).toMatchObject({ asked: null, window: WINDOW });
});

test("loader_asks_exactly_when_a_linear_window_would_be_too_narrow", () => {
  const { loader, asked } = arrangeLoader(1);
  loader.look(0, { center: 0.002, width: 0.003 }, 1);
  expect(asked[0]?.url).toContain("window=0.002,0.003,linear-exact");
});

test("failure_stays_when_one_comes_back_to_a_refused_slice", async () => {
  const { loader, asked, arrivals } = arrangeLoader(2);
  const refusal = new Error("refused");
  loader.look(0, WINDOW, 1);
  expect(loader.failure()).toBeNull();
  asked[0]?.refuse(refusal);
  await vi.waitFor(() => expect(arrivals).toEqual([0]));
  loader.look(1, WINDOW, 1);
  expect(loader.failure()).toBeNull();
  loader.look(0, WINDOW, 1);
  expect(loader.failure()).toBe(refusal);
});

test("loader_asks_anew_when_a_damaged_picture_is_retried", async () => {
  const { loader, asked, arrivals } = arrangeLoader(1, () => Promise.reject(new Error("no image")));
  loader.look(0, WINDOW, 1);
  asked[0]?.answer();
  await vi.waitFor(() => expect(arrivals).toEqual([0]));
  expect(await loader.best()).toBeNull();
  expect(loader.failure()).toMatchObject({ code: "picture.damaged" });
  loader.retry();
  expect(asked.map(({ url }) => url)).toEqual([asked[0]?.url, asked[0]?.url]);
});

test.each([
  [{ frames: 96, image_orientation_patient: null }, "Frame"],
  [{ frames: 1, image_orientation_patient: [1, 0, 0, 0, 1, 0] }, "Slice"],
  [{ frames: 1, image_orientation_patient: null }, "Image"],
])("sliceWord_of_%o_is_%s", (instance, word) => {
  expect(sliceWord({ instance: instance as Instance, frame: 1 })).toBe(word);
});

test.each([
  [
    [0.7, 0.8],
    [0.7, 0.8],
  ],
  [[0, 0], null],
  [[0.7], null],
  [null, null],
])("spacingOf_%o_is_%o", (written, spacing) => {
  expect(spacingOf({ instance: { pixel_spacing_mm: written } as Instance, frame: 1 })).toEqual(spacing);
});

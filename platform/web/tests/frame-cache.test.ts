import { expect, test } from "vitest";
import { covers, FrameCache } from "../src/transport/frame-cache";
import { type Frame, FrameFlag, readFrame } from "../src/transport/protocol.gen";
import { frameOf, stackState } from "./memory-pod";

const closed: number[] = [];
const bitmap = (side: number): ImageBitmap =>
  ({ width: side, height: side, close: () => closed.push(side) }) as unknown as ImageBitmap;
const make = (encodedBytes = 1 << 20, decodedBytes = 1 << 24): FrameCache =>
  new FrameCache(async () => bitmap(512), { encodedBytes, decodedBytes });

function frame(fields: Parameters<typeof frameOf>[0]): Frame {
  const read = readFrame(frameOf(fields));
  if (!read) throw new Error("no frame");
  return read;
}

test("a_frame_is_found_by_its_window_and_place_whatever_its_size", () => {
  const cache = make();
  cache.keep(frame({ seq: 1, stateId: 1, place: 5 }), stackState(4));
  expect(cache.answer(stackState(5))?.frame.seq).toBe(1);
  expect(cache.answer(stackState(5, { size: [256, 256] }))?.frame.seq).toBe(1);
  expect(cache.answer(stackState(4))).toBeNull();
  const other = { kind: "window", center: 40, width: 500, function: "linear", index: 0 } as const;
  expect(cache.answer(stackState(5, { voi: other }))).toBeNull();
});

test("a_worse_frame_does_not_replace_a_better_one", () => {
  const cache = make();
  cache.keep(frame({ seq: 1, stateId: 1, place: 5, tier: 2, flags: FrameFlag.SETTLED }), stackState(5));
  cache.keep(frame({ seq: 2, stateId: 1, place: 5, tier: 0, side: 256 }), stackState(5));
  expect(cache.answer(stackState(5))?.frame.seq).toBe(1);
  cache.keep(frame({ seq: 3, stateId: 1, place: 5, tier: 3, flags: FrameFlag.LOSSLESS }), stackState(5));
  expect(cache.answer(stackState(5))?.frame.seq).toBe(3);
});

test("a_part_answers_only_where_it_covers_what_is_asked", () => {
  const cache = make();
  const part = stackState(5, { region: [100, 100, 200, 200], size: [200, 200] });
  cache.keep(frame({ seq: 1, stateId: 1, place: 5, region: [100, 100, 200, 200] }), part);
  expect(cache.answer(part)?.frame.seq).toBe(1);
  expect(cache.answer({ ...part, region: [0, 100, 200, 200] })).toBeNull();
  expect(cache.answer(stackState(5))).toBeNull();
  expect(cache.find(stackState(5)).part?.frame.seq).toBe(1);
});

test("what_a_viewer_holds_counts_as_full_only_where_it_has_all_pixels_that_are_shown", () => {
  const cache = make();
  expect(cache.tierOf(stackState(5))).toBe(-1);
  const small = { tier: 2, flags: FrameFlag.SETTLED, side: 128 } as const;
  cache.keep(frame({ seq: 1, stateId: 1, place: 5, ...small }), stackState(5, { size: [128, 128] }));
  expect(cache.tierOf(stackState(5, { size: [128, 128] }))).toBe(2);
  expect(cache.tierOf(stackState(5))).toBe(1);
});

test("the_oldest_frames_leave_when_the_bytes_are_used_up", () => {
  const cache = make(1000);
  for (let place = 0; place < 10; place += 1)
    cache.keep(frame({ seq: place, stateId: 1, place }), stackState(place));
  expect(cache.has(stackState(0))).toBe(false);
  expect(cache.has(stackState(9))).toBe(true);
});

test("a_picture_on_the_screen_is_closed_only_after_it_left", async () => {
  const cache = make(1 << 20, 512 * 512 * 4);
  const one = cache.keep(frame({ seq: 1, stateId: 1, place: 1 }), stackState(1));
  await cache.bitmap(one);
  cache.pin(one);
  const other = cache.keep(frame({ seq: 2, stateId: 1, place: 2 }), stackState(2));
  closed.length = 0;
  await cache.bitmap(other);
  expect(closed).toEqual([]);
  expect(cache.ready(one)).not.toBeNull();
  cache.unpin(one);
  expect(closed).toEqual([512]);
});

test("covers_allows_for_half_a_pixel", () => {
  expect(covers([0, 0, 10, 10], [0.4, 0, 10, 10])).toBe(true);
  expect(covers([0, 0, 10, 10], [1, 0, 10, 10])).toBe(false);
});

test("a_picture_that_a_screen_waits_for_is_not_closed_before_it_is_shown", async () => {
  const cache = make(1 << 20, 512 * 512 * 4);
  const one = cache.keep(frame({ seq: 1, stateId: 1, place: 1 }), stackState(1));
  const other = cache.keep(frame({ seq: 2, stateId: 1, place: 2 }), stackState(2));
  cache.pin(one);
  closed.length = 0;
  const [shown] = await Promise.all([cache.bitmap(one), cache.bitmap(other)]);
  expect(closed).toEqual([]);
  cache.unpin(one);
  expect(closed).toEqual([shown?.width]);
});

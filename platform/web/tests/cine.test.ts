import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Cine, type Playable } from "../src/layout/cine";

let playing: Playable;
let shown: number;
let cine: Cine;

beforeEach(() => {
  vi.useFakeTimers();
  playing = { seriesUid: "1", frameTimeMs: 40 };
  shown = 0;
  cine = new Cine({
    playable: () => playing,
    step: () => {
      shown += 1;
    },
    onChange: () => {},
  });
});

afterEach(() => {
  vi.useRealTimers();
});

test.each([
  [40, 25],
  [33.333, 30],
  [66.6, 15],
  [null, 10],
  [5, 60],
  [30_000, 1],
])("a_frame_time_of_%s_ms_is_played_at_%s_a_second", (frameTimeMs, wanted) => {
  playing = { seriesUid: "1", frameTimeMs };
  expect(cine.framesPerSecond).toBe(wanted);
  cine.play();
  vi.advanceTimersByTime(2010);
  expect(shown).toBe(2 * wanted);
});

test("the_speed_that_a_reader_chose_is_that_of_one_series", () => {
  cine.setSpeed(5);
  expect(cine.framesPerSecond).toBe(5);
  cine.changeSpeed(1);
  expect(cine.framesPerSecond).toBe(10);
  playing = { seriesUid: "2", frameTimeMs: 50 };
  expect(cine.framesPerSecond).toBe(20);
  cine.changeSpeed(-1);
  expect(cine.framesPerSecond).toBe(15);
  playing = { seriesUid: "1", frameTimeMs: 40 };
  expect(cine.framesPerSecond).toBe(10);
});

test("it_goes_on_at_the_recorded_speed_when_that_becomes_known_late", () => {
  playing = { seriesUid: "1", frameTimeMs: null };
  cine.play();
  vi.advanceTimersByTime(1000);
  expect(shown).toBe(10);
  playing = { seriesUid: "1", frameTimeMs: 20 };
  vi.advanceTimersByTime(1100);
  expect(shown).toBe(61);
});

test("nothing_moves_once_it_is_stopped", () => {
  cine.toggle();
  vi.advanceTimersByTime(400);
  cine.toggle();
  expect(cine.isRunning).toBe(false);
  vi.advanceTimersByTime(1000);
  expect(shown).toBe(10);
});

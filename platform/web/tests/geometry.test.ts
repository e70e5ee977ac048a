import { expect, test } from "vitest";
import {
  dragWindow,
  HOME,
  pinchOf,
  pinchView,
  place,
  rewindowTable,
  scaleBar,
  wholeSteps,
  zoomAt,
} from "../src/viewport/geometry";
import { wheelSteps } from "../src/viewport/gestures";

const SCREEN = { width: 800, height: 600 };
const MATRIX = { columns: 512, rows: 512, columnSpacing: 1, rowSpacing: 1 };

test("place_centres_the_whole_picture_when_nobody_has_zoomed", () => {
  const { scaleX, scaleY, offsetX, offsetY } = place(MATRIX, SCREEN, HOME);
  expect(scaleX).toBeCloseTo(600 / 512);
  expect(scaleY).toBe(scaleX);
  // The outer edges of the first and last pixel lie half a pixel beyond their centres.
  expect(offsetY - scaleY / 2).toBeCloseTo(0);
  expect(offsetY + scaleY * 511.5).toBeCloseTo(600);
  expect(offsetX + scaleX * 255.5).toBeCloseTo(400);
});

test("place_keeps_millimetres_square_when_pixels_are_not", () => {
  const { scaleX, scaleY } = place({ ...MATRIX, rowSpacing: 2 }, SCREEN, HOME);
  expect(scaleY / scaleX).toBeCloseTo(2);
});

test("zoomAt_keeps_the_point_under_the_pointer_when_zooming", () => {
  const at = { x: 130, y: 470 };
  const before = place(MATRIX, SCREEN, HOME);
  const after = place(MATRIX, SCREEN, zoomAt(HOME, 3, at, SCREEN));
  const column = (at.x - before.offsetX) / before.scaleX;
  expect(after.offsetX + after.scaleX * column).toBeCloseTo(at.x);
  const row = (at.y - before.offsetY) / before.scaleY;
  expect(after.offsetY + after.scaleY * row).toBeCloseTo(at.y);
});

test("zoomAt_stops_when_the_limit_is_reached", () => {
  expect(zoomAt(HOME, 1e6, { x: 0, y: 0 }, SCREEN).zoom).toBe(24);
});

test("pinchView_zooms_and_moves_when_two_fingers_do", () => {
  const from = pinchOf({ x: 300, y: 300 }, { x: 500, y: 300 });
  const to = pinchOf({ x: 220, y: 340 }, { x: 620, y: 340 });
  const view = pinchView(HOME, from, to, SCREEN);
  expect(view.zoom).toBeCloseTo(2);
  expect(view.pan).toEqual({ x: 20, y: 40 });
});

test("dragWindow_follows_the_width_when_dragging", () => {
  const start = { center: 40, width: 400 };
  expect(dragWindow(start, 0, 0)).toEqual(start);
  expect(dragWindow(start, 100, 0).width).toBeGreaterThan(start.width);
  expect(dragWindow(start, 0, -40)).toEqual({ center: 0, width: 400 });
  const bone = { center: 480, width: 2500 };
  expect(dragWindow(bone, 0, 40).center - bone.center).toBeGreaterThan(200);
});

test("dragWindow_never_closes_when_dragged_far_left", () => {
  expect(dragWindow({ center: 0.5, width: 1 }, -9999, 0).width).toBeGreaterThan(0);
});

test("rewindowTable_changes_nothing_when_the_window_stays", () => {
  const window = { center: 40, width: 400 };
  expect([...rewindowTable(window, window)]).toEqual(Array.from({ length: 256 }, (_, grey) => grey));
});

test("rewindowTable_mirrors_both_ends_when_low_values_are_white", () => {
  const [from, to] = [
    { center: 0, width: 200 },
    { center: 25, width: 100 },
  ];
  const plain = rewindowTable(from, to);
  const reversed = rewindowTable(from, to, true);
  expect([...reversed]).toEqual([...plain].reverse().map((grey) => 255 - grey));
});

test("rewindowTable_clips_when_the_window_narrows", () => {
  const table = rewindowTable({ center: 0, width: 200 }, { center: 0, width: 100 });
  expect([table[0], table[63], table[128], table[192], table[255]]).toEqual([0, 0, 129, 255, 255]);
});

test.each([
  [1, 160, 100],
  [1, 240, 200],
  [4, 90, 20],
  [0.3, 160, 500],
])("scaleBar_picks_a_round_length_when_a_millimetre_has_%f_pixels", (pixels, longest, mm) => {
  expect(scaleBar(pixels, longest)).toEqual({ mm, px: mm * pixels });
});

test("wholeSteps_carries_the_rest_when_a_drag_is_short", () => {
  expect(wholeSteps(25, 10)).toEqual({ steps: 2, rest: 5 });
  expect(wholeSteps(-17, 10)).toEqual({ steps: -1, rest: -7 });
});

test("wheelSteps_gives_one_slice_when_a_wheel_clicks_once", () => {
  expect(wheelSteps({ deltaY: 100, deltaMode: 0 }, 12)).toEqual({ steps: 1, rest: 0 });
  expect(wheelSteps({ deltaY: -3, deltaMode: 1 }, 0)).toEqual({ steps: -1, rest: 0 });
  expect(wheelSteps({ deltaY: 240, deltaMode: 0 }, 0).steps).toBe(2);
});

test("wheelSteps_adds_up_when_a_track_pad_glides", () => {
  const first = wheelSteps({ deltaY: 20, deltaMode: 0 }, 0);
  expect(first.steps).toBe(0);
  expect(wheelSteps({ deltaY: 20, deltaMode: 0 }, first.rest)).toEqual({ steps: 1, rest: 10 });
});

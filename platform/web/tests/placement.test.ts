import { expect, test } from "vitest";
import {
  type Affine,
  affineOf,
  apply,
  HOME,
  invert,
  magnify,
  requestOf,
  type Size,
  scaleOf,
  visiblePart,
  zoomAt,
} from "../src/viewport/geometry";
import type { Turn } from "../src/viewport/modes";
import { edgeLetters, turnLetters } from "../src/viewport/orientation";

const SCREEN: Size = { width: 800, height: 600 };
const MATRIX = { columns: 512, rows: 400, columnSpacing: 0.7, rowSpacing: 0.9 };
const TURNS: Turn[] = [0, 90, 180, 270];
const AXIAL = [1, 0, 0, 0, 1, 0];

/** Where the painter puts a source pixel: corners of the square that it fills, in device pixels. */
function paintedSquare(affine: Affine, ratio: number, column: number, row: number) {
  // As Painter.paint sets its transform: the picture begins half a pixel before index 0.
  const [a, b, c, d, e, f] = magnify(affine, ratio);
  const painter: Affine = [a, b, c, d, e - (a + c) / 2, f - (b + d) / 2];
  return [apply(painter, { x: column, y: row }), apply(painter, { x: column + 1, y: row + 1 })] as const;
}

for (const zoom of [0.5, 1, 3])
  for (const ratio of [1, 1.5, 2, 3])
    test(`an_outline_sits_on_its_pixels_at_zoom_${zoom}_and_${ratio}_device_pixels`, () => {
      for (const rotation of TURNS)
        for (const isFlipped of [false, true]) {
          const view = zoomAt(HOME, zoom, { x: 123, y: 456 }, SCREEN);
          const affine = affineOf(MATRIX, SCREEN, view, rotation, isFlipped);
          for (const [column, row] of [
            [0, 0],
            [511, 399],
            [100, 300],
          ] as const) {
            // The overlay's path is in pixel indices and goes through the same transform, times the ratio.
            const outline = apply(magnify(affine, ratio), { x: column, y: row });
            const [one, other] = paintedSquare(affine, ratio, column, row);
            expect(outline.x).toBeCloseTo((one.x + other.x) / 2, 6);
            expect(outline.y).toBeCloseTo((one.y + other.y) / 2, 6);
          }
        }
    });

test("a_picture_fits_the_screen_and_stays_in_its_middle_however_it_is_turned", () => {
  for (const rotation of TURNS)
    for (const isFlipped of [false, true]) {
      const affine = affineOf(MATRIX, SCREEN, HOME, rotation, isFlipped);
      const corners = [
        { x: -0.5, y: -0.5 },
        { x: 511.5, y: 399.5 },
      ].map((corner) => apply(affine, corner));
      const xs = corners.map(({ x }) => x);
      const ys = corners.map(({ y }) => y);
      expect((Math.min(...xs) + Math.max(...xs)) / 2).toBeCloseTo(400);
      expect((Math.min(...ys) + Math.max(...ys)) / 2).toBeCloseTo(300);
      expect(Math.min(...xs)).toBeGreaterThan(-1e-6);
      expect(Math.min(...ys)).toBeGreaterThan(-1e-6);
      const touches = Math.min(...xs) < 1e-6 || Math.min(...ys) < 1e-6;
      expect(touches).toBe(true);
      expect(Math.hypot(affine[2], affine[3]) / Math.hypot(affine[0], affine[1])).toBeCloseTo(0.9 / 0.7);
    }
});

test("invert_brings_back_to_the_pixel", () => {
  const affine = affineOf(MATRIX, SCREEN, zoomAt(HOME, 2.5, { x: 10, y: 20 }, SCREEN), 90, true);
  const back = apply(invert(affine), apply(affine, { x: 17, y: 333 }));
  expect(back.x).toBeCloseTo(17);
  expect(back.y).toBeCloseTo(333);
});

// Letters by another way: where the pixels at the four edges go on the screen.
for (const rotation of TURNS)
  for (const isFlipped of [false, true])
    test(`letters_are_right_when_turned_by_${rotation}${isFlipped ? "_and_mirrored" : ""}`, () => {
      const letters = edgeLetters(AXIAL);
      if (!letters) throw new Error("no letters");
      const turned = turnLetters(letters, rotation, isFlipped);
      const affine = affineOf({ ...MATRIX, columns: 400 }, SCREEN, HOME, rotation, isFlipped);
      const middle = apply(affine, { x: 199.5, y: 199.5 });
      const edges = [
        [letters.left, { x: 0, y: 199.5 }],
        [letters.right, { x: 399, y: 199.5 }],
        [letters.top, { x: 199.5, y: 0 }],
        [letters.bottom, { x: 199.5, y: 399 }],
      ] as const;
      for (const [letter, pixel] of edges) {
        const at = apply(affine, pixel);
        const [dx, dy] = [at.x - middle.x, at.y - middle.y];
        const isAcross = Math.abs(dx) > Math.abs(dy);
        const edge = isAcross ? (dx < 0 ? "left" : "right") : dy < 0 ? "top" : "bottom";
        expect(turned[edge]).toBe(letter);
      }
    });

test("a_slice_is_asked_for_whole_and_never_larger_than_its_source", () => {
  const affine = affineOf(MATRIX, SCREEN, zoomAt(HOME, 6, { x: 400, y: 300 }, SCREEN), 0, false);
  expect(requestOf(affine, MATRIX, SCREEN, 3)).toEqual({ size: [512, 400], region: null });
});

test("a_mammogram_on_a_phone_is_asked_for_no_larger_than_its_screen", () => {
  const phone = { width: 390, height: 700 };
  const matrix = { columns: 2000, rows: 2500, columnSpacing: 0.1, rowSpacing: 0.1 };
  const affine = affineOf(matrix, phone, HOME, 0, false);
  const { size, region } = requestOf(affine, matrix, phone, 2);
  expect(region).toBeNull();
  expect(size[0] * size[1]).toBeLessThan(0.2 * 2000 * 2500);
  expect(size[0]).toBeGreaterThanOrEqual(390 * 2);
});

test("a_zoomed_mammogram_is_asked_for_in_the_part_that_is_seen", () => {
  const phone = { width: 390, height: 700 };
  const matrix = { columns: 2000, rows: 2500, columnSpacing: 0.1, rowSpacing: 0.1 };
  const affine = affineOf(matrix, phone, zoomAt(HOME, 5, { x: 200, y: 300 }, phone), 0, false);
  const { size, region } = requestOf(affine, matrix, phone, 2);
  const seen = visiblePart(affine, matrix, phone);
  if (!region || !seen) throw new Error("a part was expected");
  expect(region[0]).toBeLessThanOrEqual(seen[0]);
  expect(region[1]).toBeLessThanOrEqual(seen[1]);
  expect(region[0] + region[2]).toBeGreaterThanOrEqual(Math.min(2000, seen[0] + seen[2]));
  expect(region[1] + region[3]).toBeGreaterThanOrEqual(Math.min(2500, seen[1] + seen[3]));
  expect(size[0] * size[1]).toBeLessThan(0.4 * 2000 * 2500);
  // All device pixels that the source can fill: one source pixel covers more than one of them here.
  expect(scaleOf(affine) * 2).toBeGreaterThan(1);
  expect(size[0]).toBe(region[2]);
});

test("a_little_zoom_asks_for_nothing_new", () => {
  const matrix = { columns: 512, rows: 512, columnSpacing: 1, rowSpacing: 1 };
  const small = { width: 250, height: 250 };
  const one = requestOf(affineOf(matrix, small, HOME, 0, false), matrix, small, 1);
  const zoomed = zoomAt(HOME, 1.01, { x: 1, y: 1 }, small);
  expect(requestOf(affineOf(matrix, small, zoomed, 0, false), matrix, small, 1)).toEqual(one);
});

import { expect, test } from "vitest";
import { cameraFrom, frameOf, magnifyCamera, orbit, project, roll, slide } from "../src/viewport/camera";
import { cross, dot, length, subtract, type Vec3 } from "../src/viewport/lps";
import { type Grid, lpsFromIjk, middleOf } from "../src/viewport/mpr";
import { directionLetters } from "../src/viewport/orientation";

const SIZE = { width: 900, height: 600 };
const GRID: Grid = {
  origin: [-100, -80, 500],
  axes: [
    [0.9, 0, 0],
    [0, 0.8, 0],
    [0, 0, 2],
  ],
  counts: [300, 300, 150],
};

test("each_side_faces_the_reader_with_the_right_letters", () => {
  const expected: Record<string, string> = { A: "L H", P: "R H", L: "P H", R: "A H", H: "R A", F: "L A" };
  for (const [face, letters] of Object.entries(expected)) {
    const { right, down, away } = frameOf(cameraFrom(GRID, face, SIZE));
    const up = down.map((part) => -part);
    expect(`${directionLetters(right)} ${directionLetters(up)}`, face).toBe(letters);
    expect(directionLetters(away.map((part) => -part))).toBe(face);
    expect(dot(cross(right, down), away)).toBeCloseTo(1);
  }
});

test("the_whole_volume_is_seen_from_each_side", () => {
  for (const face of ["A", "P", "L", "R", "H", "F"]) {
    const camera = cameraFrom(GRID, face, SIZE);
    for (let bits = 0; bits < 8; bits += 1) {
      const [i = 0, j = 0, k = 0] = GRID.counts.map((count, at) => (bits & (1 << at) ? count - 1 : 0));
      const { x, y } = project(camera, lpsFromIjk(GRID, [i, j, k]), SIZE);
      expect(x).toBeGreaterThan(0);
      expect(x).toBeLessThan(SIZE.width);
      expect(y).toBeGreaterThan(0);
      expect(y).toBeLessThan(SIZE.height);
    }
  }
});

test("what_faces_the_reader_follows_the_pointer_when_turned", () => {
  const camera = cameraFrom(GRID, "A", SIZE);
  const middle = middleOf(GRID);
  const front: Vec3 = [middle[0], middle[1] - 100, middle[2]];
  const before = project(camera, front, SIZE);
  const right = project(orbit(camera, 60, 0), front, SIZE);
  const down = project(orbit(camera, 0, 60), front, SIZE);
  expect(right.x).toBeGreaterThan(before.x + 20);
  expect(right.y).toBeCloseTo(before.y, 3);
  expect(down.y).toBeGreaterThan(before.y + 20);
  expect(down.x).toBeCloseTo(before.x, 3);
});

test("the_eye_keeps_its_distance_and_its_right_angles_through_many_turns", () => {
  let camera = cameraFrom(GRID, "A", SIZE);
  const away = (): number => length(subtract(camera.position_lps_mm, camera.focal_point_lps_mm));
  const before = away();
  for (let step = 0; step < 500; step += 1) camera = orbit(camera, Math.sin(step) * 30, Math.cos(step) * 30);
  expect(away()).toBeCloseTo(before, 3);
  const { right, down } = frameOf(camera);
  expect(dot(right, down)).toBeCloseTo(0);
  expect(length(camera.view_up_lps)).toBeCloseTo(1);
});

test("sliding_moves_the_picture_with_the_pointer_and_zoom_keeps_what_is_under_it", () => {
  const camera = cameraFrom(GRID, "L", SIZE);
  const point = lpsFromIjk(GRID, [40, 50, 60]);
  const before = project(camera, point, SIZE);
  const slid = project(slide(camera, 30, -20, SIZE), point, SIZE);
  expect(slid.x - before.x).toBeCloseTo(30);
  expect(slid.y - before.y).toBeCloseTo(-20);
  const zoomed = project(magnifyCamera(camera, 3, before, SIZE), point, SIZE);
  expect(zoomed.x).toBeCloseTo(before.x);
  expect(zoomed.y).toBeCloseTo(before.y);
});

test("a_quarter_roll_turns_the_picture_clockwise", () => {
  const { right, down } = frameOf(cameraFrom(GRID, "A", SIZE));
  const rolled = frameOf(roll(cameraFrom(GRID, "A", SIZE), Math.PI / 2));
  // What pointed up points to the right now.
  rolled.right.forEach((part, at) => {
    expect(part).toBeCloseTo(-(down[at] ?? 0));
  });
  rolled.down.forEach((part, at) => {
    expect(part).toBeCloseTo(right[at] ?? 0);
  });
});

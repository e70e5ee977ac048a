import type { CameraState } from "../transport/protocol.gen";
import type { Point, Size } from "./geometry";
import { add, cross, dot, length, scale, subtract, turn, unit, type Vec3 } from "./lps";
import { type Grid, middleOf } from "./mpr";

/** Where one looks from when a side of the patient faces one, and what is up then. */
const FACES: Record<string, readonly [Vec3, Vec3]> = {
  A: [
    [0, -1, 0],
    [0, 0, 1],
  ],
  P: [
    [0, 1, 0],
    [0, 0, 1],
  ],
  L: [
    [1, 0, 0],
    [0, 0, 1],
  ],
  R: [
    [-1, 0, 0],
    [0, 0, 1],
  ],
  H: [
    [0, 0, 1],
    [0, -1, 0],
  ],
  F: [
    [0, 0, -1],
    [0, -1, 0],
  ],
};

/** The volume whole, from one side; parallel, so that lengths can be compared. */
export function cameraFrom(grid: Grid, face: string, size: Size): CameraState {
  const [from, up] =
    FACES[face] ??
    ([
      [0, -1, 0],
      [0, 0, 1],
    ] as const);
  const diagonal = length(
    grid.axes.reduce<Vec3>(
      (sum, axis, at) => add(sum, [length(axis) * (grid.counts[at] ?? 1), 0, 0]),
      [0, 0, 0],
    ),
  );
  const right = cross(scale(from, -1), up);
  const reach = (direction: Vec3): number =>
    grid.axes.reduce((sum, axis, at) => sum + Math.abs(dot(axis, direction)) * (grid.counts[at] ?? 1), 0) / 2;
  const aspect = size.height > 0 ? size.width / size.height : 1;
  const middle = middleOf(grid);
  return {
    position_lps_mm: add(middle, scale(from, diagonal * 2)),
    focal_point_lps_mm: middle,
    view_up_lps: up,
    parallel_scale_mm: Math.max(reach(up), reach(right) / aspect) * 1.05,
    view_angle_deg: 30,
  };
}

/** Unit vectors of the picture: to the right, down, and away from the eye. */
export function frameOf(camera: CameraState): { right: Vec3; down: Vec3; away: Vec3 } {
  const away = unit(subtract(camera.focal_point_lps_mm, camera.position_lps_mm));
  const right = unit(cross(away, camera.view_up_lps));
  return { right, down: cross(away, right), away };
}

const RADIANS_PER_PX = Math.PI / 400;

/** Turn the eye about what it looks at: what is under the pointer follows it. */
export function orbit(camera: CameraState, dx: number, dy: number): CameraState {
  const { right, down } = frameOf(camera);
  const up = scale(down, -1);
  const from = subtract(camera.position_lps_mm, camera.focal_point_lps_mm);
  const yaw = -dx * RADIANS_PER_PX;
  const pitch = -dy * RADIANS_PER_PX;
  const spun = turn(turn(from, up, yaw), turn(right, up, yaw), pitch);
  const newUp = turn(up, turn(right, up, yaw), pitch);
  return { ...camera, position_lps_mm: add(camera.focal_point_lps_mm, spun), view_up_lps: unit(newUp) };
}

/** Turn the picture in its plane, clockwise. */
export function roll(camera: CameraState, radians: number): CameraState {
  const { away, down } = frameOf(camera);
  return { ...camera, view_up_lps: turn(scale(down, -1), away, -radians) };
}

/** Screen pixels a millimetre. */
export const pxPerMmOf = (camera: CameraState, size: Size): number =>
  size.height / (2 * (camera.parallel_scale_mm ?? 1));

export function slide(camera: CameraState, dx: number, dy: number, size: Size): CameraState {
  const { right, down } = frameOf(camera);
  const mm = 1 / pxPerMmOf(camera, size);
  const by = add(scale(right, -dx * mm), scale(down, -dy * mm));
  return {
    ...camera,
    position_lps_mm: add(camera.position_lps_mm, by),
    focal_point_lps_mm: add(camera.focal_point_lps_mm, by),
  };
}

/** Zoom about a point of the screen: what is under it stays under it. */
export function magnifyCamera(camera: CameraState, factor: number, at: Point, size: Size): CameraState {
  const before = camera.parallel_scale_mm ?? 1;
  const after = Math.min(before * 50, Math.max(2, before / factor));
  const ratio = before / after;
  const from = { x: at.x - size.width / 2, y: at.y - size.height / 2 };
  const nearer = { ...camera, parallel_scale_mm: after };
  return slide(nearer, from.x - from.x * ratio, from.y - from.y * ratio, size);
}

export function project(camera: CameraState, point: Vec3, size: Size): Point {
  const { right, down } = frameOf(camera);
  const from = subtract(point, camera.focal_point_lps_mm);
  const px = pxPerMmOf(camera, size);
  return { x: size.width / 2 + dot(from, right) * px, y: size.height / 2 + dot(from, down) * px };
}

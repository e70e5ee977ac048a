import type { VolumeFacts } from "../transport/protocol.gen";
import { add, cross, dot, length, type Plane, scale, subtract, turn, unit, type Vec3 } from "./lps";
import type { ViewportMode } from "./modes";

/** The grid of a volume: where voxel (0, 0, 0) is, the step to the next along each axis, and how many there are. */
export interface Grid {
  origin: Vec3;
  axes: readonly [Vec3, Vec3, Vec3];
  counts: Vec3;
}

export function gridOf({ shape_kji, lps_from_ijk: m }: VolumeFacts): Grid {
  const column = (at: number): Vec3 => [m[at] ?? 0, m[at + 4] ?? 0, m[at + 8] ?? 0];
  return {
    origin: column(3),
    axes: [column(0), column(1), column(2)],
    counts: [shape_kji[2], shape_kji[1], shape_kji[0]],
  };
}

export function lpsFromIjk({ origin, axes }: Grid, [i, j, k]: Vec3): Vec3 {
  return add(origin, add(scale(axes[0], i), add(scale(axes[1], j), scale(axes[2], k))));
}

/** The axes of a volume are at right angles (the pod refuses others), so each index is a projection. */
export function ijkFromLps({ origin, axes }: Grid, point: Vec3): Vec3 {
  const from = subtract(point, origin);
  const [x, y, z] = axes.map((axis) => dot(from, axis) / dot(axis, axis));
  return [x ?? 0, y ?? 0, z ?? 0];
}

export const middleOf = (grid: Grid): Vec3 =>
  lpsFromIjk(grid, [(grid.counts[0] - 1) / 2, (grid.counts[1] - 1) / 2, (grid.counts[2] - 1) / 2]);

/** How far the volume reaches along a direction, from the centre of the first voxel to that of the last. */
export function reachAlong(grid: Grid, direction: Vec3): { low: number; high: number } {
  const middle = dot(middleOf(grid), direction);
  const half = grid.axes.reduce(
    (sum, axis, at) => sum + (Math.abs(dot(axis, direction)) * ((grid.counts[at] ?? 1) - 1)) / 2,
    0,
  );
  return { low: middle - half, high: middle + half };
}

/** Distance along a direction after which the next voxel begins on the axis that it follows most. */
export function stepAlong(grid: Grid, direction: Vec3): number {
  const most = Math.max(...grid.axes.map((axis) => Math.abs(dot(axis, direction)) / dot(axis, axis)));
  return 1 / most;
}

export const finestMm = (grid: Grid): number => Math.min(...grid.axes.map(length));

const TILT = Math.PI / 4;

/** Row and column of the standard planes as radiologists hang them: patient's right at the left, front or head on top. */
export function basisOf(mode: ViewportMode, oblique: Plane | null): { row: Vec3; column: Vec3 } {
  if (mode === "coronal") return { row: [1, 0, 0], column: [0, 0, -1] };
  if (mode === "sagittal") return { row: [0, 1, 0], column: [0, 0, -1] };
  if (mode === "oblique") {
    if (!oblique) return { row: [1, 0, 0], column: turn([0, 1, 0], [1, 0, 0], -TILT) };
    const row = unit(oblique.row);
    // Turned by hand again and again, the two lose their right angle; the pod refuses that.
    return { row, column: unit(subtract(oblique.column, scale(row, dot(oblique.column, row)))) };
  }
  return { row: [1, 0, 0], column: [0, 1, 0] };
}

/** The planes of a scroll along a normal: one a voxel step. */
export interface Stops {
  low: number;
  step: number;
  count: number;
}

export function stopsOf(grid: Grid, normal: Vec3): Stops {
  const { low, high } = reachAlong(grid, normal);
  const step = stepAlong(grid, normal);
  return { low, step, count: Math.max(1, Math.floor((high - low) / step + 1e-6) + 1) };
}

export const stopNear = ({ low, step, count }: Stops, place: number): number =>
  Math.min(count - 1, Math.max(0, Math.round((place - low) / step)));

export const placeOfStop = ({ low, step }: Stops, stop: number): number => low + stop * step;

/** A point moved along the normal to a place, the rest of it as it was. */
export const atPlace = (point: Vec3, normal: Vec3, place: number): Vec3 =>
  add(point, scale(normal, place - dot(point, normal)));

/** A plane turned about an axis through a point of it. */
export function turnPlane({ center, row, column }: Plane, axis: Vec3, pivot: Vec3, radians: number): Plane {
  return {
    center: add(pivot, turn(subtract(center, pivot), axis, radians)),
    row: turn(row, axis, radians),
    column: turn(column, axis, radians),
  };
}

/** Millimetres a device pixel to ask for, in steps, so that a little zoom fetches nothing anew; no finer than half a voxel. */
export function spacingStep(wantedMm: number, finest: number): number {
  const steps = [8, 6, 4, 3, 2, 1.5, 1, 0.75];
  return finest * (steps.find((step) => step * finest <= wantedMm * 1.01) ?? 0.5);
}

/** Part of a plane in mm from an anchor: left, top, right, bottom. */
export type Extent = readonly [number, number, number, number];

const GRID_PX = 32;
const MARGIN = 0.2;

/**
 * The part to ask for: all that the volume has in this plane, or where that is much more than
 * what is on the screen, the visible part with a margin, in steps.
 */
export function partOf(all: Extent, seen: Extent, spacingMm: number): Extent {
  const area = ([left, top, right, bottom]: Extent): number =>
    Math.max(0, right - left) * Math.max(0, bottom - top);
  if (area(all) <= area(seen) * 1.6) return all;
  const marginX = (seen[2] - seen[0]) * MARGIN;
  const marginY = (seen[3] - seen[1]) * MARGIN;
  const step = GRID_PX * spacingMm;
  const down = (value: number): number => Math.floor(value / step) * step;
  const up = (value: number): number => Math.ceil(value / step) * step;
  const part: Extent = [
    Math.max(all[0], down(seen[0] - marginX)),
    Math.max(all[1], down(seen[1] - marginY)),
    Math.min(all[2], up(seen[2] + marginX)),
    Math.min(all[3], up(seen[3] + marginY)),
  ];
  return area(part) > 0 ? part : all;
}

export const normalOf = ({ row, column }: { row: Vec3; column: Vec3 }): Vec3 => cross(row, column);

import { describe, expect, test } from "vitest";
import type { VolumeFacts } from "../src/transport/protocol.gen";
import { lookOf, moveTo, placeOf } from "../src/transport/state-key";
import { cutOf, distanceToLine } from "../src/viewport/lines";
import { cross, dot, length, type ShownPlane, subtract, type Vec3 } from "../src/viewport/lps";
import {
  basisOf,
  gridOf,
  ijkFromLps,
  lpsFromIjk,
  middleOf,
  normalOf,
  partOf,
  placeOfStop,
  reachAlong,
  spacingStep,
  stepAlong,
  stopNear,
  stopsOf,
  turnPlane,
} from "../src/viewport/mpr";
import { edgeLetters } from "../src/viewport/orientation";

const FACTS: VolumeFacts = {
  shape_kji: [150, 512, 400],
  lps_from_ijk: [0.9, 0, 0, -200, 0, 0.8, 0, -180, 0, 0, 2, 900, 0, 0, 0, 1],
  spacing_ijk_mm: [0.9, 0.8, 2],
  low: -1000,
  high: 1500,
};
const GRID = gridOf(FACTS);
const near = (one: readonly number[], other: readonly number[]): void => {
  one.forEach((value, at) => {
    expect(value).toBeCloseTo(other[at] ?? Number.NaN, 6);
  });
};

test("indices_and_millimetres_are_one_anothers_inverse", () => {
  near(lpsFromIjk(GRID, [10, 20, 30]), [-200 + 9, -180 + 16, 960]);
  near(ijkFromLps(GRID, lpsFromIjk(GRID, [10.5, 20.25, 30])), [10.5, 20.25, 30]);
});

describe("planes hang as radiologists hang them", () => {
  for (const [mode, expected] of [
    ["axial", { left: "R", right: "L", top: "A", bottom: "P" }],
    ["coronal", { left: "R", right: "L", top: "H", bottom: "F" }],
    ["sagittal", { left: "A", right: "P", top: "H", bottom: "F" }],
  ] as const)
    test(mode, () => {
      const { row, column } = basisOf(mode, null);
      expect(edgeLetters([...row, ...column])).toEqual(expected);
    });
});

test("a_scroll_goes_through_every_voxel_of_the_axis_once", () => {
  for (const [mode, axis, count] of [
    ["axial", 2, 150],
    ["coronal", 1, 512],
    ["sagittal", 0, 400],
  ] as const) {
    const normal = normalOf(basisOf(mode, null));
    const stops = stopsOf(GRID, normal);
    expect(stops.count).toBe(count);
    const places = [0, 1, count - 1].map((stop) => placeOfStop(stops, stop));
    for (const place of places) {
      const index = ijkFromLps(GRID, [...normal].map((part) => part * place) as unknown as Vec3)[axis] ?? 0;
      expect(Math.abs(index - Math.round(index))).toBeLessThan(1e-6);
    }
    expect(stopNear(stops, placeOfStop(stops, 7))).toBe(7);
  }
});

test("a_step_of_an_oblique_plane_is_no_longer_than_a_voxel_along_any_axis", () => {
  const normal = normalOf(basisOf("oblique", null));
  const step = stepAlong(GRID, normal);
  for (const axis of GRID.axes)
    expect((step * Math.abs(dot(normal, axis))) / dot(axis, axis)).toBeLessThan(1 + 1e-9);
  const { low, high } = reachAlong(GRID, normal);
  expect(dot(middleOf(GRID), normal)).toBeCloseTo((low + high) / 2);
});

test("the_place_of_a_plane_and_of_its_neighbour_agree_with_the_pods", () => {
  const { row, column } = basisOf("coronal", null);
  const state = {
    kind: "plane",
    center_lps_mm: middleOf(GRID),
    row_lps: row,
    column_lps: column,
    spacing_mm: 1,
    size: [100, 100],
    slab_mm: 0,
    slab_mode: "none",
    voi: { kind: "default", center: null, width: null, function: "linear", index: 0 },
    invert: false,
    interpolation: "linear",
    segments: [],
  } as const;
  const moved = moveTo(state, placeOf(state) + 0.8);
  expect(placeOf(moved)).toBeCloseTo(placeOf(state) + 0.8);
  expect(lookOf(moved)).toBe(lookOf(state));
  expect(lookOf({ ...state, spacing_mm: 2 })).not.toBe(lookOf(state));
});

test("more_zoom_asks_for_finer_pixels_in_steps_and_never_finer_than_half_a_voxel", () => {
  expect(spacingStep(1.6, 0.8)).toBeCloseTo(1.6);
  expect(spacingStep(1.7, 0.8)).toBeCloseTo(1.6);
  expect(spacingStep(0.01, 0.8)).toBeCloseTo(0.4);
});

test("only_the_part_that_is_seen_is_asked_for_when_zoomed", () => {
  const all = [-100, -100, 100, 100] as const;
  expect(partOf(all, [-120, -120, 120, 120], 1)).toEqual(all);
  const part = partOf(all, [-20, -30, 20, 10], 0.5);
  expect(part[0]).toBeLessThanOrEqual(-20);
  expect(part[3]).toBeGreaterThanOrEqual(10);
  expect((part[2] - part[0]) * (part[3] - part[1])).toBeLessThan(40_000 / 3);
  expect(partOf(all, [-20.5, -30, 19.5, 10], 0.5)).toEqual(part);
});

const shown = (mode: "axial" | "coronal" | "sagittal", center: Vec3, uid = "1"): ShownPlane => ({
  ...basisOf(mode, null),
  center,
  halfWidthMm: 100,
  halfHeightMm: 50,
  frameOfReferenceUid: uid,
});

test("two_planes_meet_in_a_line_that_lies_in_both", () => {
  const axial = shown("axial", [0, 0, 10]);
  const sagittal = shown("sagittal", [20, 0, 0]);
  const cut = cutOf(axial, sagittal);
  if (!cut) throw new Error("they meet");
  for (const point of cut)
    for (const plane of [axial, sagittal])
      expect(dot(subtract(point, plane.center), normalOf(plane))).toBeCloseTo(0);
  expect(length(subtract(cut[0], cut[1]))).toBeCloseTo(100);
});

test("no_line_is_drawn_between_parallel_planes_nor_across_frames_of_reference", () => {
  expect(cutOf(shown("axial", [0, 0, 0]), shown("axial", [0, 0, 5]))).toBeNull();
  expect(cutOf(shown("axial", [0, 0, 0]), shown("coronal", [0, 0, 0], "2"))).toBeNull();
  expect(cutOf(shown("axial", [0, 0, 0], ""), shown("coronal", [0, 0, 0], ""))).toBeNull();
  expect(cutOf(shown("axial", [0, 0, 0]), shown("coronal", [0, 80, 0]))).toBeNull();
});

test("a_turned_plane_keeps_its_right_angle_and_its_pivot", () => {
  const plane = { center: [10, 20, 30] as Vec3, ...basisOf("coronal", null) };
  const turned = turnPlane(plane, [0, 0, 1], [10, 0, 30], 0.4);
  expect(dot(turned.row, turned.column)).toBeCloseTo(0);
  expect(length(cross(turned.row, turned.column))).toBeCloseTo(1);
  const away = (point: Vec3): number => length(subtract(point, [10, 0, 30]));
  expect(away(turned.center)).toBeCloseTo(away(plane.center));
});

test("distance_to_a_line_ends_at_its_ends", () => {
  const line = { from: { x: 0, y: 0 }, to: { x: 10, y: 0 }, color: "" };
  expect(distanceToLine({ x: 5, y: 3 }, line)).toEqual({ distance: 3, along: 0.5 });
  expect(distanceToLine({ x: 14, y: 3 }, line)).toEqual({ distance: 5, along: 1 });
});

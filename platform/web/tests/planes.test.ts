import { expect, test } from "vitest";
import type { Series } from "../src/api/types";
import { linkedSlice, sliceAt } from "../src/layout/planes";
import { slicesOf } from "../src/transport/stack";
import type { Vec3 } from "../src/viewport/lps";
import { planeOf } from "../src/viewport/slice-plane";

const AXIAL = [1, 0, 0, 0, 1, 0];
const SAGITTAL = [0, 1, 0, 0, 0, -1];
const FRAME = "1.2.3";

/** Slices of 101 by 101 pixels of 1 mm. */
function stack(orientation: number[], origins: Vec3[], frame = FRAME): Series {
  return {
    frame_of_reference_uid: frame,
    instances: origins.map((origin) => ({
      frames: 1,
      rows: 101,
      columns: 101,
      pixel_spacing_mm: [1, 1],
      image_position_patient: [...origin],
      image_orientation_patient: orientation,
    })),
  } as unknown as Series;
}

const axial = (depths: number[], frame = FRAME): Series =>
  stack(
    AXIAL,
    depths.map((z) => [-50, -50, z]),
    frame,
  );

test("planeOf_has_its_middle_between_the_first_pixel_and_the_last", () => {
  expect(planeOf(slicesOf(axial([7]))[0])).toMatchObject({ center: [0, 0, 7], halfWidthMm: 50.5 });
});

test("linkedSlice_is_the_one_at_the_same_place_when_spacing_and_direction_differ", () => {
  const source = axial([0, 5, 10, 15, 20]);
  const target = axial([20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10]);
  expect(linkedSlice(source, 3, target)).toEqual({ index: 5, isOutside: false });
  expect(linkedSlice(source, 0, target)).toEqual({ index: 10, isOutside: true });
});

test.each<[string, Series]>([
  ["in another frame of reference", axial([0, 5, 10], "9.9")],
  ["in no frame of reference", axial([0, 5, 10], "")],
  ["not parallel", stack(SAGITTAL, [[0, -50, 50]])],
])("linkedSlice_is_none_when_the_other_series_is_%s", (_, target) => {
  expect(linkedSlice(axial([0, 5, 10]), 1, axial([5]))).not.toBeNull();
  expect(linkedSlice(axial([0, 5, 10]), 1, target)).toBeNull();
  expect(linkedSlice(axial([0, 5, 10], ""), 1, target)).toBeNull();
});

test("sliceAt_looks_only_at_parallel_slices_when_a_scout_has_several_directions", () => {
  const scout = stack(AXIAL, [
    [-50, -50, 0],
    [-50, -50, 40],
  ]);
  const upright = stack(SAGITTAL, [[30, -50, 50]]);
  const mixed = { ...scout, instances: [...upright.instances, ...scout.instances] };
  expect(linkedSlice(axial([38]), 0, mixed)?.index).toBe(2);
  expect(sliceAt(mixed, [29, 0, 0])?.index).toBe(0);
});

test("planeOf_is_none_when_a_slice_has_no_place", () => {
  const lost = stack(AXIAL, [[0, 0, 0]]);
  const [instance] = lost.instances;
  expect(planeOf(undefined)).toBeNull();
  if (instance) instance.image_position_patient = null;
  expect(planeOf(slicesOf(lost)[0])).toBeNull();
});

import { expect, test } from "vitest";
import { edgeLetters, planeName } from "../src/viewport/orientation";

const AXIAL = [1, 0, 0, 0, 1, 0];
const CORONAL = [1, 0, 0, 0, 0, -1];
const SAGITTAL = [0, 1, 0, 0, 0, -1];

test.each([
  ["axial", AXIAL, { left: "R", right: "L", top: "A", bottom: "P" }],
  ["coronal", CORONAL, { left: "R", right: "L", top: "H", bottom: "F" }],
  ["sagittal", SAGITTAL, { left: "A", right: "P", top: "H", bottom: "F" }],
  ["prone axial", [-1, 0, 0, 0, -1, 0], { left: "L", right: "R", top: "P", bottom: "A" }],
])("edgeLetters_name_the_sides_when_the_picture_is_%s", (_, orientation, letters) => {
  expect(edgeLetters(orientation)).toEqual(letters);
});

test("edgeLetters_name_two_axes_when_the_picture_is_oblique", () => {
  const half = Math.SQRT1_2;
  expect(edgeLetters([half, half, 0, 0, 0, -1])).toEqual({ left: "RA", right: "LP", top: "H", bottom: "F" });
});

test("edgeLetters_ignore_a_tilt_when_it_is_small", () => {
  const tilt = (15 * Math.PI) / 180;
  const letters = edgeLetters([1, 0, 0, 0, Math.cos(tilt), -Math.sin(tilt)]);
  expect(letters).toEqual({ left: "R", right: "L", top: "A", bottom: "P" });
});

test("edgeLetters_stay_silent_when_the_picture_has_no_orientation", () => {
  expect(edgeLetters(null)).toBeNull();
});

test.each([
  ["Axial", AXIAL],
  ["Coronal", CORONAL],
  ["Sagittal", SAGITTAL],
  ["Oblique", [Math.SQRT1_2, Math.SQRT1_2, 0, 0, 0, -1]],
  ["", null],
])("planeName_says_%s_when_the_picture_lies_so", (name, orientation) => {
  expect(planeName(orientation)).toBe(name);
});

import { expect, test } from "vitest";
import type { Series, VoiWindow } from "../src/api/types";
import { firstWindow, parseWindow, presetsOf } from "../src/viewport/presets";

const AXIAL = [1, 0, 0, 0, 1, 0];
const OWN: VoiWindow = { center: 203.5, width: 407, explanation: "" };
const FOUND: VoiWindow = { center: 100, width: 50 };

function arrange(
  modality: string,
  of: { windows?: VoiWindow[]; orientation?: number[]; photometric?: string },
): Series {
  const instance = {
    frames: 1,
    image_orientation_patient: of.orientation ?? null,
    photometric_interpretation: of.photometric ?? "MONOCHROME2",
  };
  return { modality, windows: of.windows ?? [], instances: [instance, instance] } as Series;
}

test.each<[string, Series, VoiWindow | null]>([
  ["recorded", arrange("MR", { windows: [OWN], orientation: AXIAL }), { center: 203.5, width: 407 }],
  ["soft_tissue", arrange("CT", { orientation: AXIAL }), { center: 40, width: 400 }],
  ["left_to_the_server_in_a_volume_without", arrange("PT", { orientation: AXIAL }), null],
  ["left_to_the_server_in_projections", arrange("DX", { windows: [OWN] }), null],
  ["none_in_colour", arrange("US", { photometric: "YBR_FULL_422" }), null],
])("firstWindow_is_%s", (_, series, window) => {
  expect(firstWindow(series)).toEqual(window);
});

test("presetsOf_is_empty_when_in_colour", () => {
  expect(presetsOf(arrange("US", { photometric: "PALETTE COLOR" }), null)).toEqual([]);
});

test("presetsOf_turns_about_what_the_server_found_when_the_header_has_no_window", () => {
  expect(presetsOf(arrange("DX", {}), FOUND)).toEqual([
    { name: "Automatic", window: null },
    { name: "More contrast", window: { center: 100, width: 30 } },
    { name: "Less contrast", window: { center: 100, width: 80 } },
  ]);
});

test("presetsOf_leads_back_to_the_shared_window_when_a_volume_has_none", () => {
  expect(presetsOf(arrange("PT", { orientation: AXIAL }), FOUND)[0]).toEqual({
    name: "Automatic",
    window: FOUND,
  });
});

test("presetsOf_leaves_the_first_window_to_each_picture_when_in_projections", () => {
  const presets = presetsOf(arrange("CR", { windows: [OWN, { ...FOUND, explanation: "Bone" }] }), OWN);
  expect(presets.slice(0, 2)).toEqual([
    { name: "As recorded", window: null },
    { name: "Bone", window: FOUND },
  ]);
});

test.each<[string | null, VoiWindow | null]>([
  ["127.5,255", { center: 127.5, width: 255 }],
  ["-600,1500", { center: -600, width: 1500 }],
  ["1.5e-05,0.003", { center: 0.000015, width: 0.003 }],
  [null, null],
  ["", null],
  ["40", null],
  ["40,0", null],
])("parseWindow_reads_%s", (header, window) => {
  expect(parseWindow(header)).toEqual(window);
});

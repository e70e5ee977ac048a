import { beforeEach, expect, test } from "vitest";
import type { Series } from "../src/api/types";
import { flipCell, rotateCell } from "../src/layout/cells";
import { LayoutStore, type Memory } from "../src/layout/layout-store";

class Notes implements Memory {
  readonly kept = new Map<string, string>();
  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.kept.set(key, value);
  }
}

/** Axial slices, 1 mm pixels, at the given heights. */
function axial(uid: string, heights: number[], frame: string, modality = "CT"): Series {
  return {
    series_instance_uid: uid,
    modality,
    is_image: true,
    is_ai_result: false,
    windows: [{ center: 10, width: 100 }],
    frame_of_reference_uid: frame,
    instances: heights.map((z) => ({
      sop_instance_uid: `${uid}.${z}`,
      frames: 1,
      rows: 101,
      columns: 101,
      pixel_spacing_mm: [1, 1],
      photometric_interpretation: "MONOCHROME2",
      image_position_patient: [-50, -50, z],
      image_orientation_patient: [1, 0, 0, 0, 1, 0],
    })),
  } as unknown as Series;
}

const THIN = axial("1", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "F");
const THICK = axial("2", [0, 5, 10], "F");
const OTHER = axial("3", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "G");
let memory: Notes;
let store: LayoutStore;

const shown = (): string[] => store.cells.map(({ seriesUid }) => seriesUid);
const places = (): number[] => store.cells.map(({ index }) => index);

beforeEach(() => {
  memory = new Notes();
  store = new LayoutStore(memory, () => {});
  store.setSeries([THIN, THICK, OTHER], THIN);
});

test("one_image_is_shown_at_its_middle_when_nothing_is_remembered", () => {
  expect(shown()).toEqual(["1"]);
  expect(places()).toEqual([5]);
  expect(store.cell.window).toEqual({ center: 10, width: 100 });
});

test("the_other_series_fill_the_cells_when_the_grid_grows", () => {
  store.setLayout("2x2");
  expect(shown()).toEqual(["1", "2", "3", ""]);
  expect([...memory.kept.keys()]).toEqual(["gantry.layout"]);
  expect(new LayoutStore(memory, () => {}).layout.id).toBe("2x2");
});

test("the_active_series_comes_along_when_the_grid_shrinks", () => {
  store.setLayout("1x3");
  store.activate(2);
  store.setLayout("1x1");
  expect(shown()).toEqual(["3"]);
  expect(store.active).toBe(0);
});

test("only_cells_of_the_same_frame_of_reference_follow_when_one_is_scrolled", () => {
  store.setLayout("1x3");
  const [, , before] = places();
  store.goTo(10);
  expect(places()).toEqual([10, 2, before]);
  store.goTo(4);
  expect(places()).toEqual([4, 1, before]);
  store.goTo(6, 2);
  expect(places()).toEqual([4, 1, 6]);
});

test("a_cell_of_another_frame_of_reference_follows_with_its_offset_once_the_reader_said_so", () => {
  store.setLayout("1x3");
  store.goTo(2, 2);
  store.goTo(4);
  expect(places()).toEqual([4, 1, 2]);
  expect(store.handOffers).toEqual([{ at: 2, name: "CT", isLinked: false, refusal: "" }]);
  store.toggleHandLink(2);
  store.goTo(7);
  expect(places()).toEqual([7, 1, 5]);
  expect(store.handLinksOf(0)).toEqual([{ at: 2, offsetMm: -2 }]);
  // The frame of reference is linked, and with it the thick series.
  expect(store.handLinksOf(2)).toEqual([
    { at: 0, offsetMm: 2 },
    { at: 1, offsetMm: 2 },
  ]);
  store.goTo(8, 2);
  expect(places()).toEqual([10, 2, 8]);
  store.goTo(10, 2);
  expect(store.cells[0]).toMatchObject({ index: 10, isOutside: true });
  store.toggleHandLink(2);
  store.goTo(0);
  expect(places()).toEqual([0, 0, 10]);
  expect(store.handLinksOf(0)).toEqual([]);
});

test("images_of_another_direction_are_not_linked_by_hand", () => {
  const sagittal = axial("4", [0, 1, 2], "H");
  for (const instance of sagittal.instances) instance.image_orientation_patient = [0, 1, 0, 0, 0, -1];
  store.setLayout("1x2");
  store.setSeries([THIN, sagittal], THIN);
  store.open(sagittal, 1);
  store.activate(0);
  expect(store.handOffers[0]?.refusal).toContain("different directions");
  store.toggleHandLink(1);
  expect(store.handLinksOf(0)).toEqual([]);
});

test("nothing_follows_when_the_link_is_off", () => {
  store.setLayout("1x2");
  store.toggleLink("scroll");
  store.goTo(10);
  expect(places()).toEqual([10, 1]);
  store.toggleLink("scroll");
  expect(places()).toEqual([10, 2]);
});

test("a_cell_says_so_when_its_series_does_not_reach_the_place", () => {
  store.setSeries([THIN, axial("2", [0, 1, 2], "F")], THIN);
  store.setLayout("1x2");
  store.goTo(9);
  expect(store.cells[1]).toMatchObject({ index: 2, isOutside: true });
  store.goTo(1);
  expect(store.cells[1]).toMatchObject({ index: 1, isOutside: false });
});

test("the_window_follows_in_one_modality_only_when_windows_are_linked", () => {
  store.setSeries([THIN, THICK, axial("3", [0, 1], "F", "MR")], THIN);
  store.setLayout("1x3");
  store.setWindow({ center: 1, width: 2 });
  expect(store.cells[1]?.window).toEqual({ center: 10, width: 100 });
  store.toggleLink("window");
  store.setWindow({ center: 3, width: 4 });
  expect(store.cells[1]?.window).toEqual({ center: 3, width: 4 });
  expect(store.cells[2]?.window).toEqual({ center: 10, width: 100 });
});

test("a_volume_layout_shows_one_series_in_every_cell_through_the_slice_that_was_looked_at", () => {
  store.goTo(8);
  store.setLayout("mpr-3d");
  expect(shown()).toEqual(["1", "1", "1", "1"]);
  expect(store.crosshairOf(store.cell)).toEqual([0, 0, 8]);
  store.setWindow({ center: 1, width: 2 });
  expect(store.cells[2]?.window).toEqual({ center: 1, width: 2 });
  store.open(THICK);
  expect(shown()).toEqual(["2", "2", "2", "2"]);
  store.setLayout("1x1");
  expect(store.cell).toMatchObject({ seriesUid: "2", mode: "stack" });
});

test("the_crosshair_moves_stacks_of_its_frame_of_reference_only", () => {
  store.setLayout("1x3");
  store.setTool("crosshair");
  store.setCrosshair([3, 3, 10], 0);
  expect(places()).toEqual([5, 2, 5]);
  expect(store.crosshairOf(store.cells[1] ?? store.cell)).toEqual([3, 3, 10]);
  expect(store.crosshairOf(store.cells[2] ?? store.cell)).not.toEqual([3, 3, 10]);
});

test("reference_planes_are_those_of_the_other_cells_in_the_same_frame_of_reference", () => {
  store.setLayout("1x3");
  const plane = {
    center: [0, 0, 0],
    row: [1, 0, 0],
    column: [0, 1, 0],
    halfWidthMm: 1,
    halfHeightMm: 1,
  } as const;
  for (const at of [0, 1, 2]) store.setPlane(at, { ...plane, frameOfReferenceUid: at === 2 ? "G" : "F" });
  expect(store.referencePlanesFor(0).map(({ id }) => id)).toEqual(["1"]);
  expect(store.referencePlanesFor(2)).toEqual([]);
  store.toggleLink("lines");
  expect(store.referencePlanesFor(0)).toEqual([]);
});

test("a_finding_is_shown_where_its_series_is_when_another_cell_is_active", () => {
  store.setLayout("1x3");
  store.show(OTHER, 2);
  expect(store.active).toBe(2);
  expect(store.cell.index).toBe(2);
});

test("the_picture_stays_when_slices_arrive_before_it", () => {
  store.goTo(5);
  store.setSeries([axial("1", [-2, -1, 0, 1, 2, 3, 4, 5, 6], "F"), THICK], THIN);
  expect(store.cell.index).toBe(7);
  store.setSeries([THICK], THICK);
  expect(shown()).toEqual(["2"]);
});

test("a_series_is_shown_as_it_was_left_when_one_comes_back_to_it", () => {
  store.goTo(9);
  store.setWindow({ center: 1, width: 2 });
  store.open(THICK);
  store.open(THIN);
  expect(store.cell).toMatchObject({ index: 9, window: { center: 1, width: 2 } });
});

test("turns_and_mirrors_are_as_seen_on_the_screen", () => {
  const { cell } = store;
  const view = ({ rotation, isFlipped }: typeof cell): [number, boolean] => [rotation, isFlipped];
  const right = rotateCell(cell, 90);
  expect(view(rotateCell(right, -90))).toEqual([0, false]);
  // Mirrored twice is a half turn where the axes differ, nothing where they are the same.
  expect(view(flipCell(flipCell(right, "horizontal"), "vertical"))).toEqual([270, false]);
  expect(view(flipCell(flipCell(right, "vertical"), "vertical"))).toEqual([90, false]);
  expect(view(flipCell(right, "horizontal"))).toEqual([270, true]);
});

test.each(["nonsense", "[]", '{"scroll": 3}'])(
  "links_are_as_at_first_when_what_is_remembered_is_%s",
  (text) => {
    memory.setItem("gantry.links", text);
    expect(new LayoutStore(memory, () => {}).links).toEqual({
      scroll: true,
      window: false,
      zoom: false,
      lines: true,
    });
  },
);

test("a_volume_is_turned_and_a_picture_windowed_until_another_tool_is_chosen", () => {
  store.setLayout("mpr-3d");
  const tools = (): string[] => store.cells.map((cell) => store.toolOf(cell));
  expect(tools()).toEqual(["window", "window", "window", "rotate"]);
  store.setTool("pan");
  expect(tools()).toEqual(["pan", "pan", "pan", "pan"]);
  store.setTool("scroll");
  expect(tools()).toEqual(["scroll", "scroll", "scroll", "rotate"]);
  store.activate(3);
  store.setTool("window");
  expect(tools()[3]).toBe("window");
  store.setTool("rotate");
  expect(tools()).toEqual(["window", "window", "window", "rotate"]);
});

import { expect, test } from "vitest";
import { type Direction, GRIDS, layoutOf, neighbour, VOLUME_LAYOUTS } from "../src/layout/layouts";

test("every_grid_from_one_to_nine_cells_is_offered", () => {
  expect(GRIDS.map(({ id }) => id)).toEqual(["1x1", "1x2", "1x3", "2x1", "2x2", "2x3", "3x1", "3x2", "3x3"]);
  for (const { rows, columns, cells } of GRIDS) expect(cells).toHaveLength(rows * columns);
});

test.each([...GRIDS, ...VOLUME_LAYOUTS].map((layout) => [layout.id, layout] as const))(
  "the_cells_of_%s_cover_the_stage_once",
  (_, { rows, columns, cells }) => {
    const covered = cells.flatMap((cell) =>
      Array.from({ length: cell.rowSpan }, (_, down) =>
        Array.from({ length: cell.columnSpan }, (_, right) => `${cell.row + down},${cell.column + right}`),
      ).flat(),
    );
    expect(new Set(covered).size).toBe(covered.length);
    expect(covered).toHaveLength(rows * columns);
  },
);

test("planes_and_volume_are_shown_together_when_the_layout_is_mpr", () => {
  const modes = (id: string): string[] => layoutOf(id).cells.map(({ mode }) => mode);
  expect(modes("mpr-3d")).toEqual(["axial", "coronal", "sagittal", "volume"]);
  expect(modes("3d")[0]).toBe("volume");
  expect(new Set(modes("mpr"))).toEqual(new Set(["axial", "coronal", "sagittal"]));
});

test.each<[string, string | null]>([
  ["unknown", "9x9"],
  ["absent", null],
])("one_image_is_shown_when_the_remembered_layout_is_%s", (_, id) => {
  expect(layoutOf(id).id).toBe("1x1");
});

test.each<[string, number, Direction, number]>([
  ["2x3", 0, "right", 1],
  ["2x3", 2, "right", 3],
  ["2x3", 3, "left", 2],
  ["2x3", 1, "down", 4],
  ["2x3", 4, "up", 1],
  ["2x3", 5, "right", 5],
  ["2x3", 0, "left", 0],
  ["2x3", 0, "up", 0],
  ["3d", 0, "right", 2],
  ["3d", 3, "left", 0],
  ["3d", 1, "down", 2],
])("neighbour_in_%s_of_cell_%i_%s_is_%i", (id, from, direction, to) => {
  expect(neighbour(layoutOf(id), from, direction)).toBe(to);
});

/** How the stage is divided: the layouts that are offered, and how one moves between their cells. */
import type { ViewportMode } from "../viewport/modes";

export interface Area {
  row: number;
  column: number;
  rowSpan: number;
  columnSpan: number;
}

export interface LayoutCell extends Area {
  mode: ViewportMode;
}

export interface Layout {
  id: string;
  name: string;
  rows: number;
  columns: number;
  cells: readonly LayoutCell[];
  /** All cells show one series: planes through it and the volume. */
  isVolume: boolean;
}

export type Direction = "left" | "right" | "up" | "down";

const SIDE = 3;

function grid(rows: number, columns: number): Layout {
  const cells = Array.from({ length: rows * columns }, (_, at) => ({
    row: Math.floor(at / columns),
    column: at % columns,
    rowSpan: 1,
    columnSpan: 1,
    mode: "stack" as const,
  }));
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? "" : "s"}`;
  const name = rows * columns === 1 ? "One image" : `${count(rows, "row")}, ${count(columns, "column")}`;
  return { id: `${rows}x${columns}`, name, rows, columns, cells, isVolume: false };
}

function volume(id: string, name: string, cells: readonly (readonly [ViewportMode, ...number[]])[]): Layout {
  const areas = cells.map(([mode, row = 0, column = 0, rowSpan = 1, columnSpan = 1]) => ({
    row,
    column,
    rowSpan,
    columnSpan,
    mode,
  }));
  const rows = Math.max(...areas.map(({ row, rowSpan }) => row + rowSpan));
  const columns = Math.max(...areas.map(({ column, columnSpan }) => column + columnSpan));
  return { id, name, rows, columns, cells: areas, isVolume: true };
}

export const GRIDS: readonly Layout[] = Array.from({ length: SIDE * SIDE }, (_, at) =>
  grid(Math.floor(at / SIDE) + 1, (at % SIDE) + 1),
);

export const VOLUME_LAYOUTS: readonly Layout[] = [
  volume("mpr", "MPR: three planes", [
    ["axial", 0, 0],
    ["coronal", 0, 1],
    ["sagittal", 0, 2],
  ]),
  volume("mpr-3d", "MPR and 3D", [
    ["axial", 0, 0],
    ["coronal", 0, 1],
    ["sagittal", 1, 0],
    ["volume", 1, 1],
  ]),
  volume("3d", "3D large, planes beside it", [
    ["volume", 0, 0, 3, 2],
    ["axial", 0, 2],
    ["coronal", 1, 2],
    ["sagittal", 2, 2],
  ]),
];

export const ONE: Layout = grid(1, 1);
export const MAX_CELLS = SIDE * SIDE;

/** The layout of that id; one image where there is none, as after an update. */
export function layoutOf(id: string | null): Layout {
  return [...GRIDS, ...VOLUME_LAYOUTS].find((layout) => layout.id === id) ?? ONE;
}

/** The cell beside another; the same one at the edge. Rows above and below count where a row ends. */
export function neighbour({ cells }: Layout, from: number, direction: Direction): number {
  const here = cells[from];
  if (!here) return 0;
  const isAlong = direction === "left" || direction === "right";
  const sign = direction === "right" || direction === "down" ? 1 : -1;
  const middle = (cell: LayoutCell): [number, number] => {
    const across = cell.column + cell.columnSpan / 2;
    const down = cell.row + cell.rowSpan / 2;
    return isAlong ? [across, down] : [down, across];
  };
  const [at, side] = middle(here);
  const beyond = cells
    .map((cell, index) => {
      const [along, aside] = middle(cell);
      return { index, ahead: (along - at) * sign, aside: Math.abs(aside - side) };
    })
    .filter(({ ahead }) => ahead > 0)
    .sort((one, other) => one.aside - other.aside || one.ahead - other.ahead);
  if (beyond[0]) return beyond[0].index;
  // At the end of a row reading goes on in the next one, so that two keys reach every cell.
  return isAlong ? Math.min(cells.length - 1, Math.max(0, from + sign)) : from;
}

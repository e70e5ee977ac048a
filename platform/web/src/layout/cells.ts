/** One cell of the layout: which series it shows, and how. */
import type { Series, VoiWindow } from "../api/types";
import { slicesOf } from "../transport/stack";
import type { Plane } from "../viewport/lps";
import { type Crop, isPlaneMode, type Slab, type Turn, type ViewportMode } from "../viewport/modes";
import { firstWindow } from "../viewport/presets";

export interface Cell {
  seriesUid: string;
  mode: ViewportMode;
  /** Place in the stack. */
  index: number;
  /** null: as each picture says itself. */
  window: VoiWindow | "auto" | null;
  /** Number of the picture's own lookup table, where that is chosen instead of a window. */
  lut: number | null;
  /** What the server chose where the window was left to it. */
  found: VoiWindow | null;
  isInverted: boolean;
  rotation: Turn;
  isFlipped: boolean;
  interpolation: "linear" | "nearest";
  quality: "auto" | "lossless";
  slab: Slab;
  /** Of an oblique plane. */
  plane: Plane | null;
  preset: string;
  presetWindow: { shift: number; scale: number };
  crop: Crop | null;
  isCropping: boolean;
  areMeshesShown: boolean;
  /** Linked scrolling would go beyond this series: what is shown is its end, not the same place. */
  isOutside: boolean;
}

export const EMPTY: Cell = {
  seriesUid: "",
  mode: "stack",
  index: 0,
  window: null,
  lut: null,
  found: null,
  isInverted: false,
  rotation: 0,
  isFlipped: false,
  interpolation: "linear",
  quality: "auto",
  slab: { mm: 0, mode: "none" },
  plane: null,
  preset: "",
  presetWindow: { shift: 0, scale: 1 },
  crop: null,
  isCropping: false,
  areMeshesShown: true,
  isOutside: false,
};

/** Where a series was left, to come back to it. */
export type Place = Pick<Cell, "index" | "window" | "lut">;

/** A series as it is first shown, or as it was left. */
export function openedCell(series: Series, mode: ViewportMode, place: Place | undefined): Cell {
  return {
    ...EMPTY,
    seriesUid: series.series_instance_uid,
    mode,
    index: place?.index ?? Math.floor((slicesOf(series).length - 1) / 2),
    window: place ? place.window : firstWindow(series),
    lut: place?.lut ?? null,
  };
}

const turned = (rotation: Turn, by: number): Turn => ((((rotation + by) % 360) + 360) % 360) as Turn;

/** A quarter turn as seen on the screen. */
export const rotateCell = (cell: Cell, by: 90 | -90): Cell => ({
  ...cell,
  rotation: turned(cell.rotation, by),
});

/** Mirrored as seen on the screen; the viewport mirrors first and turns then. */
export function flipCell(cell: Cell, axis: "horizontal" | "vertical"): Cell {
  const rotation = turned(-cell.rotation as Turn, axis === "vertical" ? 180 : 0);
  return { ...cell, isFlipped: !cell.isFlipped, rotation };
}

/** How it looked at first; the place in the patient stays. */
export function resetCell(cell: Cell, series: Series, mode: ViewportMode): Cell {
  const { seriesUid, index, found, isCropping, areMeshesShown } = cell;
  return {
    ...EMPTY,
    ...{ seriesUid, index, found, areMeshesShown },
    isCropping: isCropping && mode === "volume",
    mode,
    window: firstWindow(series) ?? found,
    preset: cell.preset,
  };
}

export const is2d = ({ mode }: Cell): boolean => mode !== "volume";
export const isPlane = ({ mode }: Cell): boolean => isPlaneMode(mode);

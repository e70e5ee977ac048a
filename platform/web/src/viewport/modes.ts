import type { Vec3 } from "./lps";

/** What a viewport shows of its series. */
export type ViewportMode = "stack" | "axial" | "coronal" | "sagittal" | "oblique" | "volume";

/** What the left button does. */
export type Tool = "window" | "pan" | "zoom" | "scroll" | "crosshair" | "rotate";

export interface Slab {
  mm: number;
  mode: "none" | "mip" | "minip" | "average";
}

/** Part of the volume that is shown, in voxel indices. */
export interface Crop {
  low: Vec3;
  high: Vec3;
}

export type Turn = 0 | 90 | 180 | 270;

export const isPlaneMode = (mode: ViewportMode): boolean => mode !== "stack" && mode !== "volume";

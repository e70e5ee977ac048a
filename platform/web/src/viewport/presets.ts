import type { Series, VoiWindow } from "../api/types";

export interface Preset extends VoiWindow {
  name: string;
}

const CT: readonly Preset[] = [
  { name: "Soft tissue", center: 40, width: 400 },
  { name: "Lung", center: -600, width: 1500 },
  { name: "Liver", center: 90, width: 150 },
  { name: "Bone", center: 480, width: 2500 },
  { name: "Brain", center: 40, width: 80 },
  { name: "Mediastinum", center: 50, width: 350 },
  { name: "Angiography", center: 300, width: 600 },
];

/** Presets of a series by key 1 to 9: CT by organ, then what the scanner recorded. */
export function presetsOf(series: Series): Preset[] {
  const own = series.windows.map((window, at) => ({
    name: window.explanation || (at === 0 ? "As recorded" : `Recorded ${at + 1}`),
    center: window.center,
    width: window.width,
  }));
  return [...(series.modality === "CT" ? CT : []), ...own].slice(0, 9);
}

const COLOUR = /^(RGB|YBR|PALETTE)/;

/** The window in which a series is first shown; null: in colour, or left to the server. */
export function firstWindow(series: Series): VoiWindow | null {
  const isColour = COLOUR.test(series.instances[0]?.photometric_interpretation ?? "");
  const recorded = series.windows[0];
  if (isColour) return null;
  if (recorded) return { center: recorded.center, width: recorded.width };
  const [soft] = CT;
  return series.modality === "CT" && soft ? { center: soft.center, width: soft.width } : null;
}

import type { Series, VoiWindow } from "../api/types";

/** A named window; null: each picture as its own header, or else the server, has it. */
export interface Preset {
  name: string;
  window: VoiWindow | null;
}

const SOFT: VoiWindow = { center: 40, width: 400 };
const CT: readonly Preset[] = [
  { name: "Soft tissue", window: SOFT },
  { name: "Lung", window: { center: -600, width: 1500 } },
  { name: "Liver", window: { center: 90, width: 150 } },
  { name: "Bone", window: { center: 480, width: 2500 } },
  { name: "Brain", window: { center: 40, width: 80 } },
  { name: "Mediastinum", window: { center: 50, width: 350 } },
  { name: "Angiography", window: { center: 300, width: 600 } },
];
const COLOUR = /^(RGB|YBR|PALETTE)/;

const bare = ({ center, width }: VoiWindow): VoiWindow => ({ center, width });

export const isColour = (series: Series): boolean =>
  COLOUR.test(series.instances[0]?.photometric_interpretation ?? "");

/**
 * Slices of one volume share a window, or they would flicker; the views of a projection series
 * (DX, CR, US) have each their own, often a lookup table that no two numbers can stand for.
 */
export const isVolume = (series: Series): boolean =>
  series.instances.length > 0 &&
  series.instances.every((instance) => instance.image_orientation_patient && instance.frames === 1);

/** The window in which a series is first shown; null: in colour, or left to the server. */
export function firstWindow(series: Series): VoiWindow | null {
  const [recorded] = series.windows;
  if (isColour(series) || !isVolume(series)) return null;
  if (recorded) return bare(recorded);
  return series.modality === "CT" ? SOFT : null;
}

/**
 * Presets by key 1 to 9: CT by organ, then what the scanner recorded; elsewhere units mean
 * nothing across scanners, so more and less contrast about the first window.
 *
 * `found` is the window that the server chose where it was left to it.
 */
export function presetsOf(series: Series, found: VoiWindow | null): Preset[] {
  if (isColour(series)) return [];
  const own = series.windows.map((window, at) => ({
    name: window.explanation || (at === 0 ? "As recorded" : `Recorded ${at + 1}`),
    window: at === 0 && !isVolume(series) ? null : bare(window),
  }));
  if (series.modality === "CT") return [...CT, ...own].slice(0, 9);
  const automatic = { name: "Automatic", window: isVolume(series) ? found : null };
  const all = own.length > 0 ? own : [automatic];
  const base = firstWindow(series) ?? found;
  if (!base) return all;
  const scaled = (name: string, factor: number): Preset => ({
    name,
    window: { center: base.center, width: Number((base.width * factor).toPrecision(4)) },
  });
  return [...all.slice(0, 7), scaled("More contrast", 0.6), scaled("Less contrast", 1.6)];
}

/** The `Gantry-Window` header, `center,width`; null where it is absent: the picture is in colour. */
export function parseWindow(header: string | null): VoiWindow | null {
  const [center = Number.NaN, width = Number.NaN] = (header ?? "").split(",").map(Number);
  return Number.isFinite(center) && width > 0 ? { center, width } : null;
}

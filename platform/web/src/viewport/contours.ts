import type { Contours, ReviewState } from "../api/types";
import { type Affine, magnify } from "./geometry";

/** Ring as flat [x0, y0, x1, y1, …] in pixels; pixel centres are at whole numbers. */
export type Ring = Float32Array;

const UNITS_PER_PIXEL = 4;

/** Decode one ring of "quarter-pixel-delta-v1": first pair absolute, the rest differences. */
export function decodeRing(deltas: readonly number[]): Ring {
  if (deltas.length % 2 !== 0) throw new RangeError("A ring needs pairs of numbers.");
  const ring = new Float32Array(deltas.length);
  let x = 0;
  let y = 0;
  for (let at = 0; at < deltas.length; at += 2) {
    x += deltas[at] ?? 0;
    y += deltas[at + 1] ?? 0;
    ring[at] = x / UNITS_PER_PIXEL;
    ring[at + 1] = y / UNITS_PER_PIXEL;
  }
  return ring;
}

/** Outlines of one finding: fetched once, decoded slice by slice as they are looked at. */
export class Outlines {
  #contours: Contours;
  #paths = new Map<string, Path2D | null>();

  constructor(contours: Contours) {
    if (contours.encoding !== "quarter-pixel-delta-v1")
      throw new Error(`Contours in an unknown encoding: ${contours.encoding}`);
    this.#contours = contours;
  }

  has(sopInstanceUid: string): boolean {
    return (this.#contours.slices[sopInstanceUid]?.length ?? 0) > 0;
  }

  /** Path in pixel coordinates, or null where the finding does not reach this slice. */
  path(sopInstanceUid: string): Path2D | null {
    const known = this.#paths.get(sopInstanceUid);
    if (known !== undefined) return known;
    const rings = this.#contours.slices[sopInstanceUid] ?? [];
    const path = rings.length > 0 ? new Path2D() : null;
    for (const deltas of rings) {
      const ring = decodeRing(deltas);
      for (let at = 0; at < ring.length; at += 2) {
        if (at === 0) path?.moveTo(ring[at] ?? 0, ring[at + 1] ?? 0);
        else path?.lineTo(ring[at] ?? 0, ring[at + 1] ?? 0);
      }
      path?.closePath();
    }
    this.#paths.set(sopInstanceUid, path);
    return path;
  }
}

export interface OverlayItem {
  outlines: Outlines;
  color: string;
  state: ReviewState;
  /** Which fill pattern tells this finding from others without colour. */
  pattern: number;
  isCurrent: boolean;
}

const FILL_UNREVIEWED = 0.18;
const FILL_ACCEPTED = 0.3;
const HATCH_PX = 9;

/** A hatch that shows which finding it is where colours cannot be told apart; null: plain. */
function hatch(pattern: number, color: string, ratio: number): CanvasPattern | null {
  const kind = pattern % 4;
  if (kind === 0) return null;
  const size = Math.round(HATCH_PX * ratio);
  const tile = new OffscreenCanvas(size, size);
  const context = tile.getContext("2d");
  if (!context) return null;
  context.strokeStyle = color;
  context.fillStyle = color;
  context.lineWidth = ratio * 1.5;
  context.beginPath();
  if (kind === 1 || kind === 3) {
    context.moveTo(0, size);
    context.lineTo(size, 0);
  }
  if (kind === 2 || kind === 3) {
    context.moveTo(0, 0);
    context.lineTo(size, size);
  }
  context.stroke();
  return context.createPattern(tile, "repeat");
}

/** Draw the outlines of one slice: dashed with a low fill until accepted, then solid. */
export function drawOverlay(
  context: CanvasRenderingContext2D,
  items: readonly OverlayItem[],
  sopInstanceUid: string,
  affine: Affine,
  opacity: number,
  ratio: number,
): void {
  const matrix = new DOMMatrix([...magnify(affine, ratio)]);
  for (const { outlines, color, state, pattern, isCurrent } of items) {
    const source = state === "rejected" ? null : outlines.path(sopInstanceUid);
    if (!source) continue;
    const path = new Path2D();
    path.addPath(source, matrix);
    const fill = state === "accepted" ? FILL_ACCEPTED : FILL_UNREVIEWED;
    context.globalAlpha = opacity * fill;
    context.fillStyle = color;
    context.fill(path, "evenodd");
    const lines = hatch(pattern, color, ratio);
    if (lines) {
      context.globalAlpha = opacity * 0.5;
      context.fillStyle = lines;
      context.fill(path, "evenodd");
    }
    context.lineJoin = "round";
    // A dark line beneath keeps the outline visible on white bone.
    context.globalAlpha = opacity * 0.7;
    context.strokeStyle = "#000";
    context.setLineDash([]);
    context.lineWidth = (isCurrent ? 5 : 3.5) * ratio;
    context.stroke(path);
    context.globalAlpha = opacity;
    context.strokeStyle = color;
    context.setLineDash(state === "accepted" ? [] : [6 * ratio, 4 * ratio]);
    context.lineWidth = (isCurrent ? 2.5 : 1.5) * ratio;
    context.stroke(path);
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
}

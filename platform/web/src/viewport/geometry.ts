import type { VoiWindow } from "../api/types";
import type { Turn } from "./modes";

export interface Size {
  width: number;
  height: number;
}

export interface Point {
  x: number;
  y: number;
}

/** The picture as it lies in the patient: matrix and the size of one pixel, mm. */
export interface Matrix {
  columns: number;
  rows: number;
  columnSpacing: number;
  rowSpacing: number;
}

/** How the user looks at it: zoom relative to the whole picture fitting, pan in screen pixels. */
export interface View {
  zoom: number;
  pan: Point;
}

/** Screen position = scale * pixel index + offset, per axis; pixel centres are at whole indices. */
export interface Placement {
  scaleX: number;
  scaleY: number;
  offsetX: number;
  offsetY: number;
}

export const HOME: View = { zoom: 1, pan: { x: 0, y: 0 } };
const ZOOM_MIN = 0.5;
const ZOOM_MAX = 24;

/** Where the picture lies on the screen; one millimetre is as long across as down. */
export function place(matrix: Matrix, screen: Size, view: View): Placement {
  const { columns, rows, columnSpacing, rowSpacing } = matrix;
  const fit = Math.min(screen.width / (columns * columnSpacing), screen.height / (rows * rowSpacing));
  const scaleX = fit * view.zoom * columnSpacing;
  const scaleY = fit * view.zoom * rowSpacing;
  return {
    scaleX,
    scaleY,
    offsetX: screen.width / 2 + view.pan.x - (scaleX * (columns - 1)) / 2,
    offsetY: screen.height / 2 + view.pan.y - (scaleY * (rows - 1)) / 2,
  };
}

/** Screen = [a c e; b d f] · (column, row, 1), as CanvasRenderingContext2D has it; pixel centres are at whole indices. */
export type Affine = readonly [number, number, number, number, number, number];

/**
 * Where the picture lies on the screen after it was mirrored left to right and then turned
 * clockwise; one millimetre is as long across as down.
 */
export function affineOf(
  matrix: Matrix,
  screen: Size,
  view: View,
  rotation: Turn,
  isFlipped: boolean,
): Affine {
  const { columns, rows, columnSpacing, rowSpacing } = matrix;
  const isOnSide = rotation === 90 || rotation === 270;
  const across = columns * columnSpacing;
  const down = rows * rowSpacing;
  const fit = Math.min(screen.width / (isOnSide ? down : across), screen.height / (isOnSide ? across : down));
  const alongX = fit * view.zoom * columnSpacing * (isFlipped ? -1 : 1);
  const alongY = fit * view.zoom * rowSpacing;
  // Cosine and sine of quarter turns, exactly.
  const [cos, sin] = QUARTERS[rotation];
  const a = alongX * cos;
  const b = alongX * sin;
  const c = -alongY * sin;
  const d = alongY * cos;
  const middleX = (columns - 1) / 2;
  const middleY = (rows - 1) / 2;
  return [
    a,
    b,
    c,
    d,
    screen.width / 2 + view.pan.x - a * middleX - c * middleY,
    screen.height / 2 + view.pan.y - b * middleX - d * middleY,
  ];
}

const QUARTERS: Record<Turn, readonly [number, number]> = {
  0: [1, 0],
  90: [0, 1],
  180: [-1, 0],
  270: [0, -1],
};

export const apply = ([a, b, c, d, e, f]: Affine, { x, y }: Point): Point => ({
  x: a * x + c * y + e,
  y: b * x + d * y + f,
});

/** From the screen back to the picture. */
export function invert([a, b, c, d, e, f]: Affine): Affine {
  const size = a * d - b * c;
  if (!(Math.abs(size) > 1e-12)) throw new RangeError("A picture without extent has no inverse.");
  return [d / size, -b / size, -c / size, a / size, (c * f - d * e) / size, (b * e - a * f) / size];
}

/** In another unit of the screen: device pixels from CSS pixels. */
export const magnify = ([a, b, c, d, e, f]: Affine, by: number): Affine => [
  a * by,
  b * by,
  c * by,
  d * by,
  e * by,
  f * by,
];

/** Screen pixels along one source pixel, the longer side of it. */
export const scaleOf = ([a, b, c, d]: Affine): number => Math.max(Math.hypot(a, b), Math.hypot(c, d));

/** Part of the picture that is on the screen: left, top, width, height in source pixels, edges at whole numbers. */
export function visiblePart(affine: Affine, matrix: Matrix, screen: Size): Region | null {
  const back = invert(affine);
  const one = apply(back, { x: 0, y: 0 });
  const other = apply(back, { x: screen.width, y: screen.height });
  // Pixel centres are at whole indices, edges at whole numbers: half a pixel between the two.
  const left = Math.max(0, Math.min(one.x, other.x) + 0.5);
  const top = Math.max(0, Math.min(one.y, other.y) + 0.5);
  const right = Math.min(matrix.columns, Math.max(one.x, other.x) + 0.5);
  const bottom = Math.min(matrix.rows, Math.max(one.y, other.y) + 0.5);
  return right > left && bottom > top ? [left, top, right - left, bottom - top] : null;
}

export type Region = readonly [number, number, number, number];

/** A picture larger than this, as it would be sent whole, is asked for in parts. */
const WHOLE_PIXELS = 1_200_000;
const MARGIN = 0.25;
const GRID = 64;
const STEPS = [0.125, 0.1875, 0.25, 0.3125, 0.375, 0.4375, 0.5, 0.625, 0.75, 0.875, 1];
const MOST_SIDE = 4096;

/**
 * What to ask for of a picture: all of it, or the visible part with a margin where all would be
 * many more pixels; and how many device pixels that part covers, in steps, so that a little more
 * zoom does not fetch everything anew. Never more pixels than the source has.
 */
export function requestOf(
  affine: Affine,
  matrix: Matrix,
  screen: Size,
  ratio: number,
): { size: readonly [number, number]; region: Region | null } {
  const wanted = Math.min(1, scaleOf(affine) * ratio);
  const density = STEPS.find((step) => step >= wanted - 0.01) ?? 1;
  const sized = (width: number, height: number): readonly [number, number] => {
    const least = Math.min(1, MOST_SIDE / (Math.max(width, height) * density));
    return [
      Math.max(1, Math.round(width * density * least)),
      Math.max(1, Math.round(height * density * least)),
    ];
  };
  const { columns, rows } = matrix;
  const whole = { size: sized(columns, rows), region: null };
  const seen = visiblePart(affine, matrix, screen);
  if (!seen || columns * rows * density ** 2 <= WHOLE_PIXELS) return whole;
  const [left, top, width, height] = seen;
  const from = (start: number, extent: number): number =>
    Math.max(0, Math.floor((start - extent * MARGIN) / GRID) * GRID);
  const to = (start: number, extent: number, end: number): number =>
    Math.min(end, Math.ceil((start + extent * (1 + MARGIN)) / GRID) * GRID);
  const region: Region = [
    from(left, width),
    from(top, height),
    to(left, width, columns) - from(left, width),
    to(top, height, rows) - from(top, height),
  ];
  if (region[2] * region[3] > columns * rows * 0.7) return whole;
  return { size: sized(region[2], region[3]), region };
}

/** Zoom about a point of the screen: what is under it stays under it. */
export function zoomAt(view: View, factor: number, at: Point, screen: Size): View {
  const zoom = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, view.zoom * factor));
  const ratio = zoom / view.zoom;
  const from = { x: at.x - screen.width / 2, y: at.y - screen.height / 2 };
  return {
    zoom,
    pan: { x: from.x - (from.x - view.pan.x) * ratio, y: from.y - (from.y - view.pan.y) * ratio },
  };
}

export function panBy(view: View, dx: number, dy: number): View {
  return { zoom: view.zoom, pan: { x: view.pan.x + dx, y: view.pan.y + dy } };
}

/**
 * Window after a drag: right widens, down raises the centre (darkens). Steps follow the width at
 * the start of the drag, so that 8-bit pictures and CT feel alike.
 */
export function dragWindow(start: VoiWindow, dx: number, dy: number): VoiWindow {
  const width = start.width * Math.exp(dx / 250);
  const center = start.center + (dy * start.width) / 400;
  const step = start.width >= 20 ? 1 : start.width / 100;
  const round = (value: number): number => Number((Math.round(value / step) * step).toPrecision(8));
  return { center: round(center), width: Math.max(step, round(width)) };
}

/**
 * Grey values of a picture in one window as they would be in another, for 8-bit grey 0 to 255.
 * Reversed: low values are shown white (MONOCHROME1).
 */
export function rewindowTable(from: VoiWindow, to: VoiWindow, isReversed = false): Uint8ClampedArray {
  const table = new Uint8ClampedArray(256);
  const low = to.center - to.width / 2;
  const flip = (grey: number): number => (isReversed ? 255 - grey : grey);
  for (let grey = 0; grey < 256; grey += 1) {
    const value = from.center - from.width / 2 + (flip(grey) / 255) * from.width;
    table[grey] = flip(Math.round(((value - low) / to.width) * 255));
  }
  return table;
}

/** Length of a scale bar in mm (1, 2 or 5 times a power of ten) and on the screen. */
export function scaleBar(pixelsPerMm: number, longestPx: number): { mm: number; px: number } {
  const limit = longestPx / pixelsPerMm;
  const power = 10 ** Math.floor(Math.log10(limit));
  const mm = [5, 2, 1].map((step) => step * power).find((length) => length <= limit) ?? power;
  return { mm, px: mm * pixelsPerMm };
}

export interface Pinch {
  center: Point;
  distance: number;
}

export function pinchOf(a: Point, b: Point): Pinch {
  return {
    center: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 },
    distance: Math.hypot(a.x - b.x, a.y - b.y),
  };
}

/** View after two fingers went from one position to another: zoom and pan at once. */
export function pinchView(view: View, from: Pinch, to: Pinch, screen: Size): View {
  const zoomed = zoomAt(view, to.distance / Math.max(1, from.distance), from.center, screen);
  return panBy(zoomed, to.center.x - from.center.x, to.center.y - from.center.y);
}

/** Whole slices in a scroll distance, and what is left for the next event. */
export function wholeSteps(distance: number, perStep: number): { steps: number; rest: number } {
  const steps = Math.trunc(distance / perStep);
  return { steps, rest: distance - steps * perStep };
}

import type { VoiWindow } from "../api/types";

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

import type { VoiWindow } from "../api/types";
import { aheadOf, linkSpeed, PrefetchPlanner } from "../transport/prefetch";
import { FrameFlag, MAX_SIDE_PIXELS, type PlaneState } from "../transport/protocol.gen";
import type { Shown } from "../transport/stream-view";
import { dragWindow, HOME, type Pinch, type Point, panBy, pinchView, zoomAt } from "./geometry";
import type { Drag } from "./gestures";
import { cutOf, distanceToLine, drawCrosshair, drawLines, type Line } from "./lines";
import { add, cross, dot, type ReferencePlane, type ShownPlane, scale, subtract, type Vec3 } from "./lps";
import {
  atPlace,
  basisOf,
  type Extent,
  finestMm,
  type Grid,
  gridOf,
  middleOf,
  normalOf,
  partOf,
  placeOfStop,
  reachAlong,
  type Stops,
  spacingStep,
  stopNear,
  stopsOf,
  turnPlane,
} from "./mpr";
import { directionLetters, edgeLetters, planeName } from "./orientation";
import { Painter } from "./painter";
import type { Scene, SceneHost, Status } from "./scene";
import { StreamScene } from "./stream-scene";
import { isSameWindow, voiOf, windowOf } from "./windows";

const GRAB_PX = 8;
const CENTER_PX = 14;
/** The outer quarters of a line turn it, the middle moves it. */
const TURNS_BEYOND = 0.25;

/** Where the plane lies now, and how millimetres become screen pixels. */
interface Frame {
  grid: Grid;
  row: Vec3;
  column: Vec3;
  normal: Vec3;
  stops: Stops;
  stop: number;
  place: number;
  anchor: Vec3;
  pxPerMm: number;
  all: Extent;
}

type Grabbed = { plane: ReferencePlane; pivot: Vec3; isTurn: boolean; crosshair: Vec3 };

/** Distance from the origin, to the side of the patient where it lies: "L 12.5 mm". */
function positionOf({ normal, place }: Frame): string {
  const letters = directionLetters(scale(normal, place < 0 ? -1 : 1));
  return `${letters} ${Math.abs(place).toFixed(1)} mm`;
}

/** A plane or slab through the volume. */
export class PlaneScene extends StreamScene implements Scene {
  #painter = new Painter();
  #planner = new PrefetchPlanner();
  #preview: VoiWindow | null = null;
  #dragged: VoiWindow | null = null;
  #grabbed: Grabbed | null = null;

  constructor(host: SceneHost) {
    super(host);
  }

  override update(changed: ReadonlySet<string>): void {
    if (changed.has("mode") || changed.has("plane")) this.#planner = new PrefetchPlanner();
    if (changed.has("window") && this.#preview && !this.host.isMoving) this.#preview = null;
    super.update(changed);
  }

  override look(): void {
    const { host, view } = this;
    const frame = this.#frame();
    if (!frame || !view) return;
    const state = this.#state(frame);
    const ahead = aheadOf(linkSpeed(host.connection?.link?.goodput_kbit_s));
    const isStill = !host.isMoving || (this.#preview === null && this.#grabbed === null);
    const wanted = isStill ? this.#planner.plan(frame.stop, frame.stops.count, ahead, () => false) : [];
    view.set(state, {
      moving: host.isMoving,
      quality: host.quality,
      prefetch: wanted.map((stop) => (stop - frame.stop) * frame.stops.step),
    });
  }

  #frame(): Frame | null {
    const { host } = this;
    const volume = host.connection?.welcome?.volume;
    if (!volume || host.size.width === 0) return null;
    const grid = gridOf(volume);
    const { row, column } = basisOf(host.mode, host.plane);
    const normal = normalOf({ row, column });
    const stops = stopsOf(grid, normal);
    const isOwnPlane = host.mode === "oblique" && host.plane && !host.crosshair;
    const through = (isOwnPlane ? host.plane?.center : host.crosshair) ?? middleOf(grid);
    const stop = stopNear(stops, dot(through, normal));
    // An oblique plane goes through the crosshair itself; the others lie on their voxels.
    const place = host.mode === "oblique" ? dot(through, normal) : placeOfStop(stops, stop);
    const across = reachAlong(grid, row);
    const down = reachAlong(grid, column);
    const half = finestMm(grid) / 2;
    const anchor = atPlace(middleOf(grid), normal, place);
    const width = across.high - across.low + 2 * half;
    const height = down.high - down.low + 2 * half;
    const pxPerMm = Math.min(host.size.width / width, host.size.height / height) * host.view.zoom;
    const all: Extent = [-width / 2, -height / 2, width / 2, height / 2];
    return { grid, row, column, normal, stops, stop, place, anchor, pxPerMm, all };
  }

  #state(frame: Frame): PlaneState {
    const { host } = this;
    const { row, column, anchor, pxPerMm, all, grid } = frame;
    const { size, view } = host;
    const left = -(size.width / 2 + view.pan.x) / pxPerMm;
    const top = -(size.height / 2 + view.pan.y) / pxPerMm;
    const seen: Extent = [left, top, left + size.width / pxPerMm, top + size.height / pxPerMm];
    const spacing = spacingStep(1 / (pxPerMm * devicePixelRatio), finestMm(grid));
    const part = partOf(all, seen, spacing);
    const count = (mm: number): number => Math.min(MAX_SIDE_PIXELS, Math.max(1, Math.round(mm / spacing)));
    const center = add(
      anchor,
      add(scale(row, (part[0] + part[2]) / 2), scale(column, (part[1] + part[3]) / 2)),
    );
    return {
      kind: "plane",
      center_lps_mm: center,
      row_lps: row,
      column_lps: column,
      spacing_mm: spacing,
      size: [count(part[2] - part[0]), count(part[3] - part[1])],
      slab_mm: host.slab.mode === "none" ? 0 : host.slab.mm,
      slab_mode: host.slab.mm > 0 ? host.slab.mode : "none",
      voi: voiOf(this.#preview ?? host.window, this.#preview ? null : host.lut),
      invert: false,
      interpolation: host.interpolation,
      segments: host.segments,
    };
  }

  #toScreen({ anchor, row, column, pxPerMm }: Frame, point: Vec3): Point {
    const { size, view } = this.host;
    const from = subtract(point, anchor);
    return {
      x: size.width / 2 + view.pan.x + dot(from, row) * pxPerMm,
      y: size.height / 2 + view.pan.y + dot(from, column) * pxPerMm,
    };
  }

  #toPoint({ anchor, row, column, pxPerMm }: Frame, at: Point): Vec3 {
    const { size, view } = this.host;
    const x = (at.x - size.width / 2 - view.pan.x) / pxPerMm;
    const y = (at.y - size.height / 2 - view.pan.y) / pxPerMm;
    return add(anchor, add(scale(row, x), scale(column, y)));
  }

  #crosshair(frame: Frame): Vec3 {
    return this.host.crosshair ?? frame.anchor;
  }

  // What the reader does.

  fit(): void {
    this.host.view = HOME;
  }

  step(by: number): void {
    const frame = this.#frame();
    if (!frame) return;
    const stop = Math.min(frame.stops.count - 1, Math.max(0, frame.stop + by));
    if (stop === frame.stop) return;
    const place = placeOfStop(frame.stops, stop);
    this.host.emit("crosshair-change", atPlace(this.#crosshair(frame), frame.normal, place));
  }

  windowBy(dx: number, dy: number, isOver: boolean): void {
    const { host } = this;
    const shown = this.view?.shown;
    this.#dragged ??= (host.window === "auto" ? null : host.window) ?? (shown ? windowOf(shown) : null);
    const start = this.#dragged;
    if (!start) return;
    if (isOver) this.#dragged = null;
    const next = dragWindow(start, dx, host.isInverted ? -dy : dy);
    this.#preview = next;
    if (isOver) host.emit("window-change", next);
    host.requestUpdate();
  }

  zoomBy(factor: number, at: Point): void {
    this.host.view = zoomAt(this.host.view, factor, at, this.host.size);
  }

  panBy(dx: number, dy: number): void {
    this.host.view = panBy(this.host.view, dx, dy);
  }

  pinch(from: Pinch, to: Pinch): void {
    this.host.view = pinchView(this.host.view, from, to, this.host.size);
  }

  setCrosshair(at: Point): void {
    const frame = this.#frame();
    if (frame) this.host.emit("crosshair-change", this.#toPoint(frame, at));
  }

  dragAt(at: Point, isPrimary: boolean): Drag | null {
    const frame = this.#frame();
    this.#grabbed = null;
    if (!frame || !isPrimary) return null;
    const center = this.#toScreen(frame, this.#crosshair(frame));
    if (this.host.crosshair && Math.hypot(at.x - center.x, at.y - center.y) < CENTER_PX) return "crosshair";
    for (const { plane, line } of this.#lines(frame)) {
      const { distance, along } = distanceToLine(at, line);
      if (distance > GRAB_PX) continue;
      const isEnd = along < TURNS_BEYOND || along > 1 - TURNS_BEYOND;
      const isTurn = plane.isTurnable === true && isEnd;
      const crosshair = this.#crosshair(frame);
      this.#grabbed = { plane, pivot: atPlace(crosshair, frame.normal, frame.place), isTurn, crosshair };
      return "grab";
    }
    return null;
  }

  grab(at: Point, from: Point): void {
    const frame = this.#frame();
    if (!frame || !this.#grabbed) return;
    const { plane, pivot, isTurn, crosshair } = this.#grabbed;
    if (isTurn) {
      const center = this.#toScreen(frame, pivot);
      const angle = (point: Point): number => Math.atan2(point.y - center.y, point.x - center.x);
      const turned = turnPlane(plane, frame.normal, pivot, angle(at) - angle(from));
      this.host.emit("plane-rotate", { id: plane.id, ...turned });
      return;
    }
    const moved = subtract(this.#toPoint(frame, at), this.#toPoint(frame, from));
    const along = cross(plane.row, plane.column);
    this.host.emit("crosshair-change", add(crosshair, scale(along, dot(moved, along))));
  }

  async probe(at: Point): Promise<string | null> {
    const frame = this.#frame();
    if (!frame) return null;
    const probed = await this.host.connection?.probe({ point: this.#toPoint(frame, at) });
    return probed?.text ?? null;
  }

  // What is shown.

  plane(): ShownPlane | null {
    const frame = this.#frame();
    const frameOfReferenceUid = this.host.series?.frame_of_reference_uid;
    if (!frame || !frameOfReferenceUid) return null;
    const { anchor, row, column, all } = frame;
    return { center: anchor, row, column, halfWidthMm: all[2], halfHeightMm: all[3], frameOfReferenceUid };
  }

  #lines(frame: Frame): { plane: ReferencePlane; line: Line }[] {
    const own = this.plane();
    if (!own) return [];
    return this.host.referencePlanes.flatMap((plane) => {
      const cut = cutOf(own, plane);
      if (!cut) return [];
      const line = {
        from: this.#toScreen(frame, cut[0]),
        to: this.#toScreen(frame, cut[1]),
        color: plane.color,
      };
      return [{ plane, line }];
    });
  }

  draw(picture: CanvasRenderingContext2D, overlay: CanvasRenderingContext2D, ratio: number): Shown | null {
    const frame = this.#frame();
    const shown = this.view?.shown;
    if (!frame || shown?.state.kind !== "plane") return null;
    const { host } = this;
    const { center_lps_mm, spacing_mm, size } = shown.state;
    const [columns, rows] = size;
    // A frame of another angle is shown as it came until the right one is there.
    const middle = this.#toScreen(frame, center_lps_mm);
    const scaled = frame.pxPerMm * spacing_mm;
    const x = middle.x - (scaled * (columns - 1)) / 2;
    const y = middle.y - (scaled * (rows - 1)) / 2;
    const layer = { bitmap: shown.bitmap, region: [0, 0, columns, rows] as const, window: windowOf(shown) };
    this.#painter.paint(
      picture,
      [layer],
      [scaled, 0, 0, scaled, x, y],
      { width: columns, height: rows },
      {
        window: this.#preview ?? (host.window === "auto" ? null : host.window),
        isReversed: host.connection?.welcome?.frames[0]?.is_reversed ?? false,
        isInverted: host.isInverted,
        isSmooth: host.interpolation === "linear",
        ratio,
      },
    );
    this.view?.painted();
    const lines = this.#lines(frame).map(({ line }) => line);
    drawLines(overlay, lines, ratio);
    if (host.crosshair) drawCrosshair(overlay, this.#toScreen(frame, host.crosshair), ratio);
    return shown;
  }

  status(): Status {
    const { host } = this;
    const frame = this.#frame();
    const shown = this.view?.shown ?? null;
    const { row, column } = basisOf(host.mode, host.plane);
    const orientation = [...row, ...column];
    const window =
      this.#preview ?? (host.window === "auto" ? null : host.window) ?? (shown && windowOf(shown));
    const isInWindow = !shown || !window || !windowOf(shown) || isSameWindow(windowOf(shown), window);
    const isLossless = shown !== null && (shown.frame.flags & FrameFlag.LOSSLESS) !== 0 && isInWindow;
    const slab = host.slab.mode !== "none" && host.slab.mm > 0;
    const name = host.mode === "oblique" ? "Oblique" : planeName(orientation);
    const isReady = host.connection?.progress?.is_volume_ready ?? false;
    return {
      ...this.streamStatus(),
      index: frame?.stop ?? 0,
      count: frame?.stops.count ?? 0,
      loaded: Array.from({ length: frame?.stops.count ?? 0 }, () => isReady),
      isLossless,
      lossy: shown && !isLossless ? "Lossy preview, not for diagnosis" : "",
      window,
      letters: edgeLetters(orientation),
      plane: slab
        ? `${name}, ${host.slab.mode === "minip" ? "MinIP" : host.slab.mode.toUpperCase()} ${host.slab.mm} mm`
        : name,
      pxPerMm: frame?.pxPerMm ?? null,
      zoom: `${Math.round(host.view.zoom * 100)} %`,
      position: frame ? positionOf(frame) : "",
      word: "Plane",
    };
  }
}

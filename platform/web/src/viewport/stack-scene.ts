import type { Series, VoiWindow } from "../api/types";
import { aheadOf, linkSpeed, PrefetchPlanner } from "../transport/prefetch";
import { FrameFlag, type StackState } from "../transport/protocol.gen";
import type { RenderConnection } from "../transport/render-connection";
import { type Slice, slicesOf, sliceWord, spacingOf } from "../transport/stack";
import type { Shown, StreamView } from "../transport/stream-view";
import { drawOverlay } from "./contours";
import {
  type Affine,
  affineOf,
  apply,
  dragWindow,
  HOME,
  invert,
  type Matrix,
  type Pinch,
  type Point,
  panBy,
  pinchView,
  requestOf,
  scaleOf,
  visiblePart,
  zoomAt,
} from "./geometry";
import { cutOf, drawCrosshair, drawLines, type Line } from "./lines";
import { add, cross, dot, type ShownPlane, scale, subtract, type Vec3 } from "./lps";
import { edgeLetters, planeName, turnLetters } from "./orientation";
import { type Layer, Painter } from "./painter";
import { RestPictures } from "./rest-pictures";
import type { Scene, SceneHost, Status } from "./scene";
import { matrixOf, planeOf, type SlicePlane } from "./slice-plane";
import { isSameWindow, voiOf, windowOf } from "./windows";

/** So long a socket may take to open before pictures are fetched by REST meanwhile. */
const PATIENCE_MS = 4_000;
const LOSSY = "Lossy preview, not for diagnosis";

/** The slices of a series as they were acquired: over the stream, or one by one by REST. */
export class StackScene implements Scene {
  #host: SceneHost;
  #slices: Slice[] = [];
  #connection: RenderConnection | null = null;
  #view: StreamView | null = null;
  /** Pod's frame of each slice, and back. */
  #frames: (number | undefined)[] = [];
  #places = new Map<number, number>();
  #welcome: unknown = null;
  #planner = new PrefetchPlanner();
  #rest: RestPictures;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #attachedAt = 0;
  #painter = new Painter();
  #preview: VoiWindow | null = null;
  #dragged: VoiWindow | null = null;
  #found: VoiWindow | null = null;
  #loaded: boolean[] = [];

  constructor(host: SceneHost) {
    this.#host = host;
    this.#rest = new RestPictures(host, []);
  }

  update(changed: ReadonlySet<string>): void {
    const { series, connection } = this.#host;
    if (changed.has("series")) this.#open(series);
    if (connection !== this.#connection || changed.has("series")) this.#attach(connection);
    if (changed.has("window") && this.#preview && !this.#host.isMoving) this.#preview = null;
    this.#look();
  }

  close(): void {
    this.#detach();
    this.#rest.close();
  }

  retry(): void {
    this.#rest.retry();
    this.#connection?.retry();
  }

  fit(): void {
    this.#host.view = HOME;
  }

  step(by: number): void {
    const last = this.#slices.length - 1;
    const next = Math.min(last, Math.max(0, this.#host.index + by));
    if (next === this.#host.index) return;
    // Asked for before the page draws itself anew, which can take as long as the way to the pod.
    if (this.#host.size.width > 0 && this.#streams(next)) this.#lookByStream(next);
    this.#host.emit("index-change", next);
  }

  dragAt(): null {
    return null;
  }

  windowBy(dx: number, dy: number, isOver: boolean): void {
    const { window } = this.#host;
    // Where the drag began: what is shown meanwhile is in windows of the drag itself.
    this.#dragged ??= (window === "auto" ? null : window) ?? this.#shownWindow();
    const start = this.#dragged;
    if (!start) return;
    if (isOver) this.#dragged = null;
    // Up is brighter, whichever end of the values is white.
    const next = dragWindow(start, dx, this.#isReversed === this.#host.isInverted ? dy : -dy);
    this.#preview = next;
    if (isOver) this.#host.emit("window-change", next);
    this.#host.requestUpdate();
  }

  zoomBy(factor: number, at: Point): void {
    this.#host.view = zoomAt(this.#host.view, factor, at, this.#host.size);
  }

  actualSize(): void {
    const affine = this.#affine(this.#shownIndex());
    if (!affine) return;
    const { size } = this.#host;
    this.zoomBy(1 / (scaleOf(affine) * devicePixelRatio), { x: size.width / 2, y: size.height / 2 });
  }

  panBy(dx: number, dy: number): void {
    this.#host.view = panBy(this.#host.view, dx, dy);
  }

  pinch(from: Pinch, to: Pinch): void {
    this.#host.view = pinchView(this.#host.view, from, to, this.#host.size);
  }

  async probe(at: Point): Promise<string | null> {
    const index = this.#shownIndex();
    const affine = this.#affine(index);
    const matrix = this.#matrix(index);
    const frame = this.#frames[index];
    if (!affine || !matrix || frame === undefined || !this.#connection) return null;
    const pixel = apply(invert(affine), at);
    const [column, row] = [Math.round(pixel.x), Math.round(pixel.y)];
    if (column < 0 || row < 0 || column >= matrix.columns || row >= matrix.rows) return null;
    const probed = await this.#connection.probe({ frame, column, row });
    return probed?.text ?? null;
  }

  setCrosshair(at: Point): void {
    const index = this.#shownIndex();
    const affine = this.#affine(index);
    const plane = this.#place(index);
    if (!affine || !plane) return;
    const { x, y } = apply(invert(affine), at);
    this.#host.emit(
      "crosshair-change",
      add(plane.origin, add(scale(plane.alongRow, x), scale(plane.alongColumn, y))),
    );
  }

  // What is shown.

  #open(series: Series | null): void {
    this.#rest.close();
    this.#preview = null;
    this.#planner = new PrefetchPlanner();
    this.#slices = series ? slicesOf(series) : [];
    this.#rest = new RestPictures(this.#host, this.#slices);
    this.#loaded = this.#slices.map(() => false);
    this.#welcome = null;
  }

  #attach(connection: RenderConnection | null): void {
    if (connection !== this.#connection || !this.#view) {
      this.#detach();
      this.#connection = connection;
      if (connection && this.#slices.length > 0) {
        connection.addEventListener("change", this.#connectionChanged);
        this.#view = connection.openView(() => this.#pictureCame());
        this.#attachedAt = performance.now();
        clearTimeout(this.#patience);
        this.#patience = setTimeout(() => this.#connectionChanged(), PATIENCE_MS + 50);
      }
    }
    this.#learn();
  }

  #detach(): void {
    this.#connection?.removeEventListener("change", this.#connectionChanged);
    this.#view?.close();
    this.#view = null;
    this.#connection = null;
    clearTimeout(this.#patience);
  }

  #connectionChanged = (): void => {
    this.#learn();
    this.#host.requestUpdate();
    this.#look();
  };

  /** Find each slice's frame in the pod's order. */
  #learn(): void {
    const welcome = this.#connection?.welcome ?? null;
    if (!welcome) return;
    if (this.#welcome !== welcome) {
      this.#welcome = welcome;
      const byName = new Map(
        welcome.frames.map((facts, at) => [`${facts.sop_instance_uid}/${facts.frame}`, at]),
      );
      this.#frames = this.#slices.map(({ instance, frame }) =>
        byName.get(`${instance.sop_instance_uid}/${frame}`),
      );
      this.#places = new Map(this.#frames.flatMap((frame, at) => (frame === undefined ? [] : [[frame, at]])));
    }
    const runs = this.#connection?.progress?.loaded ?? [];
    this.#loaded = this.#frames.map((frame) =>
      frame === undefined ? false : runs.some(([first, beyond]) => frame >= first && frame < beyond),
    );
  }

  /** Whether pictures of this slice come over the stream. */
  #streams(index: number): boolean {
    const { state } = this.#connection ?? { state: "idle" };
    return (state === "live" || state === "lost") && this.#view !== null && this.#frames[index] !== undefined;
  }

  #look(): void {
    const { index, size, series } = this.#host;
    if (!series || size.width === 0 || !this.#slices[index]) return;
    // The right to look is gone: so are the pictures.
    if (this.#connection?.isDenied) this.#rest.close();
    else if (this.#streams(index)) this.#lookByStream(index);
    else if (!this.#isPatient()) this.#lookByRest(index);
  }

  #isPatient(): boolean {
    const { state } = this.#connection ?? { state: "unavailable" };
    const isOpening = state === "opening" || state === "idle" || state === "live";
    return isOpening && this.#view !== null && performance.now() - this.#attachedAt < PATIENCE_MS;
  }

  #lookByStream(index: number): void {
    const { window, lut, size, quality, isMoving } = this.#host;
    const matrix = this.#matrix(index);
    const affine = this.#affine(index);
    const frame = this.#frames[index];
    if (!matrix || !affine || frame === undefined || !this.#view) return;
    // Its picture may be on the screen until the first frame is.
    this.#rest.pause();
    const state: StackState = {
      kind: "stack",
      frame,
      ...requestOf(affine, matrix, size, devicePixelRatio),
      voi: voiOf(this.#preview ?? window, this.#preview ? null : lut),
      // The complement of eight bits is exact, so inverting is the painter's and costs no round trip.
      invert: false,
    };
    const view = this.#view;
    const ahead = aheadOf(linkSpeed(this.#connection?.link?.goodput_kbit_s));
    const isWindowing = isMoving && this.#preview !== null;
    const prefetch = isWindowing
      ? []
      : this.#planner
          .plan(index, this.#slices.length, ahead, () => false)
          .flatMap((at) => this.#frames[at] ?? []);
    view.set(state, { moving: isMoving, quality, prefetch });
  }

  #lookByRest(index: number): void {
    const affine = this.#affine(index);
    if (affine) this.#rest.look(index, scaleOf(affine) * devicePixelRatio);
  }

  #pictureCame(): void {
    const shown = this.#view?.shown;
    if (shown) {
      this.#rest.close();
      const found = windowOf(shown);
      const wasAsked = shown.state.kind === "stack" && shown.state.voi.kind === "window";
      if (found && !wasAsked && !isSameWindow(found, this.#found)) {
        this.#found = found;
        this.#host.emit("window-found", found);
      }
    }
    this.#host.requestUpdate();
  }

  /** The stream's picture, unless REST has the slice that is looked at and the stream has it not. */
  #streamed(): Shown | null {
    const shown = this.#view?.shown ?? null;
    if (!shown) return null;
    const isWanted = this.#places.get(shown.frame.place) === this.#host.index;
    return !isWanted && !this.#streams(this.#host.index) && this.#rest.shown ? null : shown;
  }

  #shownIndex(): number {
    const shown = this.#streamed();
    if (shown) return this.#places.get(shown.frame.place) ?? this.#host.index;
    return this.#rest.shown?.index ?? this.#host.index;
  }

  #shownWindow(): VoiWindow | null {
    const shown = this.#streamed();
    return shown ? windowOf(shown) : (this.#rest.shown?.picture.window ?? null);
  }

  #layers(index: number): Layer[] {
    const shown = this.#streamed();
    const matrix = this.#matrix(index);
    if (!matrix) return [];
    if (!shown) {
      const all = [0, 0, matrix.columns, matrix.rows] as const;
      const { picture } = this.#rest.shown ?? {};
      return picture ? [{ bitmap: picture.bitmap, region: all, window: picture.window }] : [];
    }
    const cache = this.#connection?.cache;
    const { whole, part } = cache?.find(shown.state) ?? { whole: null, part: null };
    const layers: Layer[] = [];
    for (const held of [whole, part]) {
      if (!held || !cache) continue;
      const bitmap = cache.ready(held);
      if (bitmap) layers.push({ bitmap, region: held.frame.region, window: windowOf({ ...shown, ...held }) });
    }
    if (!layers.some(({ bitmap }) => bitmap === shown.bitmap))
      layers.push({ bitmap: shown.bitmap, region: shown.frame.region, window: windowOf(shown) });
    return layers;
  }

  #matrix(index: number): Matrix | null {
    const slice = this.#slices[index];
    return slice ? matrixOf(slice) : null;
  }

  #affine(index: number): Affine | null {
    const matrix = this.#matrix(index);
    const { size, view, rotation, isFlipped } = this.#host;
    return matrix && size.width > 0 ? affineOf(matrix, size, view, rotation, isFlipped) : null;
  }

  /** Low values are white, as in most film-like recordings. */
  get #isReversed(): boolean {
    return this.#slices[this.#host.index]?.instance.photometric_interpretation === "MONOCHROME1";
  }

  /** Where a slice lies; null where it does not say, or lengths cannot be told. */
  #place(index: number): SlicePlane | null {
    const slice = this.#slices[index];
    return slice && spacingOf(slice) ? planeOf(slice, this.#host.series?.frame_of_reference_uid) : null;
  }

  plane(): ShownPlane | null {
    const place = this.#place(this.#shownIndex());
    if (!place?.frameOfReferenceUid) return null;
    const { center, row, column, halfWidthMm, halfHeightMm, frameOfReferenceUid } = place;
    return { center, row, column, halfWidthMm, halfHeightMm, frameOfReferenceUid };
  }

  draw(picture: CanvasRenderingContext2D, overlay: CanvasRenderingContext2D, ratio: number): Shown | null {
    const index = this.#shownIndex();
    const slice = this.#slices[index];
    const matrix = this.#matrix(index);
    const affine = this.#affine(index);
    const layers = this.#layers(index);
    if (!slice || !matrix || !affine || layers.length === 0) return null;
    const { isInverted, interpolation, overlay: items, isAiHidden, opacity, window } = this.#host;
    this.#painter.paint(
      picture,
      layers,
      affine,
      { width: matrix.columns, height: matrix.rows },
      {
        window: this.#preview ?? (window === "auto" ? null : window),
        isReversed: this.#isReversed,
        isInverted,
        isSmooth: interpolation === "linear",
        ratio,
      },
    );
    this.#view?.painted();
    if (!isAiHidden) drawOverlay(overlay, items, slice.instance.sop_instance_uid, affine, opacity, ratio);
    this.#drawLines(overlay, index, affine, ratio);
    return this.#streamed();
  }

  /** Planes of other viewports where they cut this slice, and the crosshair where it lies in it. */
  #drawLines(overlay: CanvasRenderingContext2D, index: number, affine: Affine, ratio: number): void {
    const plane = this.#place(index);
    if (!plane?.frameOfReferenceUid) return;
    const { origin, alongRow, alongColumn } = plane;
    const toScreen = (point: Vec3): Point => {
      const from = subtract(point, origin);
      return apply(affine, {
        x: dot(from, alongRow) / dot(alongRow, alongRow),
        y: dot(from, alongColumn) / dot(alongColumn, alongColumn),
      });
    };
    const lines = this.#host.referencePlanes.flatMap((other): Line[] => {
      const cut = cutOf(plane, other);
      return cut ? [{ from: toScreen(cut[0]), to: toScreen(cut[1]), color: other.color }] : [];
    });
    drawLines(overlay, lines, ratio);
    const { crosshair } = this.#host;
    if (!crosshair) return;
    const away = Math.abs(dot(subtract(crosshair, origin), cross(plane.row, plane.column)));
    if (away < this.#thickness() / 2 + 0.01) drawCrosshair(overlay, toScreen(crosshair), ratio);
  }

  /** Distance between neighbouring slices, mm. */
  #thickness(): number {
    const [one, other] = [this.#slices[0]?.instance.position_mm, this.#slices[1]?.instance.position_mm];
    return typeof one === "number" && typeof other === "number" ? Math.abs(other - one) : 1;
  }

  status(): Status {
    const index = this.#shownIndex();
    const slice = this.#slices[index];
    const affine = this.#affine(index);
    const spacing = slice ? spacingOf(slice) : null;
    const orientation = slice?.instance.image_orientation_patient ?? null;
    const letters = edgeLetters(orientation);
    const { rotation, isFlipped, view, size } = this.#host;
    const matrix = this.#matrix(index);
    const streamed = this.#streamed();
    const hasPicture = streamed !== null || this.#rest.shown !== null;
    const window =
      this.#preview ?? (this.#host.window === "auto" ? null : this.#host.window) ?? this.#shownWindow();
    const failure = this.#streams(this.#host.index) ? this.#failure() : this.#rest.error;
    const zoom = affine ? Math.hypot(affine[0], affine[1]) : 1;
    return {
      source: streamed ? "stream" : this.#rest.shown ? "rest" : "none",
      index,
      count: this.#slices.length,
      loaded: this.#rest.loaded ?? this.#loaded,
      ...this.#goodness(affine, matrix, streamed),
      window: hasPicture || this.#host.window ? window : null,
      hasPicture,
      letters: letters ? turnLetters(letters, rotation, isFlipped) : null,
      plane: planeName(orientation),
      pxPerMm:
        affine && spacing && size.width > 0 && view ? Math.hypot(affine[0], affine[1]) / spacing[1] : null,
      zoom: `${Math.round(zoom * 100)} %`,
      position:
        typeof slice?.instance.position_mm === "number"
          ? `Pos ${slice.instance.position_mm.toFixed(1)} mm`
          : "",
      word: slice ? sliceWord(slice) : "Image",
      error: failure,
      isLoading:
        !this.#connection?.isDenied &&
        (this.#rest.isLoading || (!hasPicture && !failure)) &&
        this.#slices.length > 0,
    };
  }

  #goodness(affine: Affine | null, matrix: Matrix | null, shown: Shown | null) {
    const none = { tier: -1, isLossless: false, isSettled: false, isRefining: false, lossy: "" };
    const isSource = this.#slices[this.#shownIndex()]?.instance.is_lossy ?? false;
    const source = isSource ? "Lossy when received, not for diagnosis" : "";
    const wanted = this.#preview ?? this.#host.window;
    if (!shown) {
      const { picture } = this.#rest.shown ?? {};
      if (!picture) return none;
      const { tier, asked, window } = picture;
      const isInWindow = wanted && wanted !== "auto" ? isSameWindow(window, wanted) : asked === null;
      const isLossy = tier === "motion" || !isInWindow;
      return {
        tier: tier === "motion" ? 1 : 3,
        isLossless: !isLossy,
        isSettled: tier === "still",
        isRefining: tier === "motion",
        lossy: isLossy ? LOSSY : source,
      };
    }
    const visible = affine && matrix ? visiblePart(affine, matrix, this.#host.size) : null;
    const state = this.#view?.state ?? null;
    const answer = state ? this.#connection?.cache.answer(state) : null;
    const best = this.#view?.isCurrent && answer ? answer : shown;
    const window = windowOf({ ...shown, ...best });
    const isInWindow = !wanted || wanted === "auto" || !window || isSameWindow(window, wanted);
    const isExact = (best.frame.flags & FrameFlag.LOSSLESS) !== 0 && isInWindow && visible !== null;
    return {
      tier: best.frame.tier,
      isLossless: isExact,
      isSettled:
        (best.frame.flags & (FrameFlag.SETTLED | FrameFlag.LOSSLESS)) !== 0 &&
        (this.#view?.isCurrent ?? false),
      isRefining: this.#view?.isRefining ?? false,
      lossy: isExact ? source : LOSSY,
    };
  }

  /** What the pod said of the frame that is looked at. */
  #failure(): Error | null {
    const frame = this.#frames[this.#host.index];
    const facts = frame === undefined ? undefined : this.#connection?.welcome?.frames[frame];
    if (facts?.sentence) return new Error(facts.sentence);
    const notice = this.#connection?.notices.find(
      (one) => one.view === this.#view?.id && one.place === frame && frame !== undefined,
    );
    return notice ? new Error(notice.sentence) : null;
  }
}

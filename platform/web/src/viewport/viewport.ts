import { html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { asProblem } from "../api/problem";
import type { Series, VoiWindow } from "../api/types";
import type { RenderConnection } from "../transport/render-connection";
import { icon } from "../ui/kit/icons";
import { controls } from "../ui/kit/styles";
import type { OverlayItem } from "./contours";
import { HOME, type Point, type Size, type View } from "./geometry";
import { type Drag, Gestures, type TouchTool } from "./gestures";
import type { Plane, ReferencePlane, ShownPlane, Vec3 } from "./lps";
import { type Crop, isPlaneMode, type Slab, type Tool, type Turn, type ViewportMode } from "./modes";
import { PaintMarks } from "./paint-marks";
import type { Scene, SceneHost, Status } from "./scene";
import "./slice-bar";
import { StackScene } from "./stack-scene";
import { renderLetters, renderTags, renderText, sideOf } from "./viewport-labels";
import { viewportStyles } from "./viewport-styles";

const MOUSE_DRAGS: Record<number, Drag> = { 1: "pan", 2: "zoom" };
const PROBE_MS = 60;
const DOUBLE_TAP_ZOOM = 2;

/**
 * One series: picture, AI outlines, what must always be readable beside them. What the labels
 * say is what is shown, never what is still on its way. README.md beside this file is for pages.
 */
@customElement("gantry-viewport")
export class Viewport extends LitElement implements SceneHost {
  static override styles = [controls, viewportStyles];

  @property({ attribute: false }) series: Series | null = null;
  @property() studyInstanceUid = "";
  @property() dicomweb = "";
  @property({ attribute: false }) connection: RenderConnection | null = null;
  @property() mode: ViewportMode = "stack";
  @property({ type: Number }) index = 0;
  @property({ attribute: false }) window: VoiWindow | "auto" | null = null;
  @property({ attribute: false }) lut: number | null = null;
  @property({ type: Boolean }) isInverted = false;
  @property({ type: Number }) rotation: Turn = 0;
  @property({ type: Boolean }) isFlipped = false;
  @property() interpolation: "linear" | "nearest" = "linear";
  @property({ attribute: false }) overlay: readonly OverlayItem[] = [];
  @property({ type: Number }) opacity = 1;
  @property({ type: Boolean }) isAiHidden = false;
  @property({ type: Boolean }) hasUnreviewed = false;
  @property() touchTool: TouchTool = "scroll";
  @property() tool: Tool = "window";
  @property({ attribute: false }) crosshair: Vec3 | null = null;
  @property({ attribute: false }) plane: Plane | null = null;
  @property({ attribute: false }) slab: Slab = { mm: 0, mode: "none" };
  @property({ attribute: false }) segments: readonly string[] = [];
  @property() preset = "";
  @property({ attribute: false }) presetWindow: { shift: number; scale: number } = { shift: 0, scale: 1 };
  @property({ attribute: false }) crop: Crop | null = null;
  @property({ type: Boolean }) isCropping = false;
  @property({ attribute: false }) meshes: readonly string[] = [];
  @property({ attribute: false }) referencePlanes: readonly ReferencePlane[] = [];
  @property() quality: "auto" | "lossless" = "auto";
  @property({ type: Boolean }) isActive = false;
  @property({ type: Boolean }) isPhone = false;
  @property({ type: Boolean }) showText = true;
  /** Slices that carry a finding, marked on the bar. */
  @property({ attribute: false }) marks: readonly number[] = [];

  @state() view: View = HOME;
  @state() size: Size = { width: 0, height: 0 };
  @state() isMoving = false;
  @state() private probed = "";
  @query(".surface") private surface!: HTMLElement;
  @query("#picture") private pictureCanvas!: HTMLCanvasElement;
  @query("#overlay") private overlayCanvas!: HTMLCanvasElement;
  #scene: Scene = new StackScene(this);
  #sceneMode: ViewportMode = "stack";
  #marks = new PaintMarks();
  #resize = new ResizeObserver(([entry]) => {
    if (entry) this.size = { width: entry.contentRect.width, height: entry.contentRect.height };
  });
  #frame = 0;
  #announced = { plane: "", loaded: "", view: "" };
  #newsTimer: ReturnType<typeof setTimeout> | undefined;
  #probing: Point | null = null;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resize.observe(this);
    window.addEventListener("online", this.#online);
    // Put back after it was taken out: its scene was closed with it.
    if (this.hasUpdated) this.#setScene(true);
  }

  override firstUpdated(): void {
    new Gestures(this.surface, {
      scroll: (steps) => this.step(steps),
      window: (dx, dy, isOver) => this.#scene.windowBy(dx, dy, isOver),
      zoom: (factor, at) => this.#scene.zoomBy(factor, at),
      pan: (dx, dy) => this.#scene.panBy(dx, dy),
      pinch: (from, to) => this.#scene.pinch(from, to),
      pixelsPerSlice: () =>
        Math.max(4, Math.min(24, this.size.height / Math.max(1, this.#scene.status().count))),
      dragAt: (at, button, isTouch) => this.#dragAt(at, button, isTouch),
      rotate: (dx, dy) => this.#scene.rotateBy?.(dx, dy),
      crosshair: (at) => this.#scene.setCrosshair?.(at),
      grab: (at, from) => this.#scene.grab?.(at, from),
      moving: (isMoving) => {
        this.isMoving = isMoving;
      },
      hover: (at) => this.#hover(at),
      doubleTap: (at) => this.#doubleTap(at),
      wheelZooms: () => this.mode === "volume",
    });
    for (const type of ["wheel", "pointermove", "pointerdown", "keydown"])
      this.surface.addEventListener(type, (event) => this.#marks.input(event.timeStamp), {
        capture: true,
        passive: true,
      });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resize.disconnect();
    this.#scene.close();
    clearTimeout(this.#probeTimer);
    window.removeEventListener("online", this.#online);
  }

  /** Whole picture in the middle. */
  fit(): void {
    this.#scene.fit();
  }

  /** Zoom about the middle. */
  zoomBy(factor: number): void {
    this.#scene.zoomBy(factor, { x: this.size.width / 2, y: this.size.height / 2 });
  }

  /** One pixel of the source for one of the screen. */
  actualSize(): void {
    this.#scene.actualSize?.();
  }

  rotate(by: 90 | -90 = 90): void {
    if (this.#scene.rollBy) {
      this.#scene.rollBy(by);
      return;
    }
    this.rotation = ((this.rotation + by + 360) % 360) as Turn;
    this.#announceView();
  }

  flip(): void {
    this.isFlipped = !this.isFlipped;
    this.#announceView();
  }

  setView({ zoom, pan }: View): void {
    if (zoom === this.view.zoom && pan.x === this.view.pan.x && pan.y === this.view.pan.y) return;
    this.view = { zoom, pan };
    this.#announced.view = JSON.stringify(this.view);
  }

  /** Scroll as the wheel does. */
  step(by: number): void {
    this.#scene.step(by);
  }

  /** Look at a volume from one side: A, P, L, R, H or F. */
  resetCamera(face = "A"): void {
    if ("look" in this.#scene && typeof this.#scene.look === "function") this.#scene.look(face);
  }

  currentPlane(): ShownPlane | null {
    return this.#scene.plane();
  }

  retry(): void {
    this.#scene.retry();
  }

  emit(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #online = (): void => this.#scene.retry();

  #dragAt(at: Point, button: number, isTouch: boolean): Drag | null {
    const grabbed = this.#scene.dragAt(at, isTouch || button === 0);
    if (grabbed) return grabbed;
    if (!isTouch && button !== 0) return MOUSE_DRAGS[button] ?? null;
    if (this.mode === "volume")
      return this.tool === "pan" || this.tool === "zoom" ? this.tool : this.#volumeTool();
    if (isTouch && this.tool === "window") return this.touchTool;
    return this.tool === "rotate" ? "window" : this.tool;
  }

  #volumeTool(): Drag {
    return this.tool === "window" ? "window" : "rotate";
  }

  #hover(at: Point | null): void {
    this.#probing = at;
    if (!at) {
      this.probed = "";
      this.emit("probe", null);
      return;
    }
    this.#probeTimer ??= setTimeout(() => {
      this.#probeTimer = undefined;
      void this.#probe();
    }, PROBE_MS);
  }

  async #probe(): Promise<void> {
    const at = this.#probing;
    if (!at || this.mode === "volume") return;
    const text = await this.#scene.probe(at);
    if (!this.#probing) return;
    this.probed = text ?? "";
    this.emit("probe", text === null ? null : { text });
  }

  #doubleTap(at: Point): void {
    if (this.view.zoom > 1.05) this.fit();
    else this.#scene.zoomBy(DOUBLE_TAP_ZOOM, at);
  }

  #announceView(): void {
    const { zoom, pan } = this.view;
    this.#announced.view = JSON.stringify(this.view);
    this.emit("view-change", { zoom, pan, rotation: this.rotation, isFlipped: this.isFlipped });
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get("series");
    if (changed.has("series") && before?.series_instance_uid !== this.series?.series_instance_uid)
      this.view = HOME;
    if (changed.has("mode") || this.#sceneMode !== this.mode) this.#setScene();
    this.#scene.update(new Set(changed.keys() as IterableIterator<string>));
  }

  /** The scene of the mode; those of volumes are fetched when first wanted. */
  #setScene(again = false): void {
    const { mode } = this;
    const isSame = isPlaneMode(mode) && isPlaneMode(this.#sceneMode);
    if (!again && (mode === this.#sceneMode || isSame)) {
      this.#sceneMode = mode;
      return;
    }
    this.#scene.close();
    this.#sceneMode = mode;
    this.view = HOME;
    if (mode === "stack") {
      this.#use(new StackScene(this));
      return;
    }
    const wanted = (): boolean => this.isConnected && this.#sceneMode === mode;
    const isPlane = isPlaneMode(mode);
    const load = isPlane
      ? import("./plane-scene").then(({ PlaneScene }) => wanted() && this.#use(new PlaneScene(this)))
      : import("./volume-scene").then(({ VolumeScene }) => wanted() && this.#use(new VolumeScene(this)));
    void load.catch((error: unknown) => {
      this.loadError = error;
    });
  }

  @state() private loadError: unknown = null;

  #use(scene: Scene): void {
    this.#scene.close();
    this.#scene = scene;
    this.loadError = null;
    scene.update(new Set(["series", "connection", "window"]));
    this.requestUpdate();
  }

  override updated(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.#draw();
      // The page answers news by drawing itself anew: the picture goes first.
      clearTimeout(this.#newsTimer);
      this.#newsTimer = setTimeout(() => this.#tellNews());
    });
  }

  #tellNews(): void {
    if (!this.isConnected) return;
    const status = this.#scene.status();
    const loaded = status.loaded.filter(Boolean).length;
    if (this.mode === "stack") this.#announce("loaded", "loaded-change", { loaded, total: status.count });
    this.#announce("plane", "plane-change", this.#scene.plane());
    const view = JSON.stringify(this.view);
    if (this.#announced.view !== view) this.#announceView();
  }

  #announce(key: "plane" | "loaded", event: string, detail: unknown): void {
    const text = JSON.stringify(detail);
    if (this.#announced[key] === text) return;
    this.#announced[key] = text;
    this.emit(event, detail);
  }

  #draw(): void {
    const ratio = devicePixelRatio;
    const [picture, overlay] = [this.pictureCanvas, this.overlayCanvas].map((canvas) => {
      const width = Math.round(this.size.width * ratio);
      const height = Math.round(this.size.height * ratio);
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      const context = canvas.getContext("2d");
      context?.clearRect(0, 0, width, height);
      return context;
    });
    if (!picture || !overlay) return;
    const shown = this.#scene.draw(picture, overlay, ratio);
    if (shown) this.#marks.painted(shown, this.mode);
  }

  get #connectionSentence(): string {
    const { connection } = this;
    if (!connection) return "";
    if (connection.state === "lost") return connection.reason?.sentence ?? "Connection lost, reconnecting.";
    if (connection.isSlow) return "Connection slow";
    if (connection.isDenied) return connection.reason?.sentence ?? "";
    if (this.mode === "stack") return "";
    if (connection.state === "live") {
      if (connection.welcome?.volume) return "";
      return connection.welcome?.no_volume_sentence ?? "";
    }
    return connection.reason?.sentence ?? "";
  }

  #renderCenter(status: Status) {
    const error = this.loadError ?? status.error;
    if (error) {
      const { message, correlationId } = asProblem(error);
      return html`<div class="center"><div class="message bad" role="alert" data-testid="picture-error">
        ${icon("alert")}
        <div class="stack">
          <strong>${status.word} ${this.mode === "stack" ? this.index + 1 : ""} cannot be shown</strong>
          <p>${message}</p>
          ${correlationId ? html`<p class="muted small">Reference <span class="code">${correlationId}</span></p>` : nothing}
          <div><button class="button" @click=${() => this.retry()}>Try again</button></div>
        </div>
      </div></div>`;
    }
    const sentence = this.#connectionSentence;
    if (sentence) {
      const canRetry = this.connection?.state !== "live" && this.connection?.state !== "preparing";
      return html`<div class="center ${status.hasPicture ? "low" : ""}" role="status" data-testid="stream-state">
        <div class="message">
          ${icon("wheel", this.connection?.state === "refused" ? "" : "turning")}
          <div class="stack">
            <p>${sentence}</p>
            ${canRetry ? html`<div><button class="button" @click=${() => this.connection?.retry()}>Try again</button></div>` : nothing}
          </div>
        </div>
      </div>`;
    }
    const what = this.mode === "stack" ? `${status.word.toLowerCase()} ${this.index + 1}` : "the volume";
    return status.isLoading
      ? html`<div class="center muted" role="status">${icon("wheel", "turning")}Loading ${what}</div>`
      : nothing;
  }

  override render() {
    const status = this.#scene.status();
    const isStale = this.connection?.state === "lost" || this.connection?.isSlow;
    this.dataset.source = status.source;
    this.dataset.place = String(status.index);
    this.dataset.tier = String(status.tier);
    this.dataset.settled = String(status.isSettled);
    this.toggleAttribute("data-side", sideOf(this.series) !== "" && this.showText);
    const word =
      this.mode === "volume" ? "Volume in 3D" : `${status.word} ${status.index + 1} of ${status.count}`;
    return html`
      <div
        class="surface ${isStale ? "stale" : ""}"
        tabindex="0"
        role="img"
        aria-label=${word}
        @dblclick=${() => this.emit("maximise", null)}
        @pointerdown=${() => this.emit("activate", null)}
        @focus=${() => this.emit("activate", null)}
      >
        <canvas id="picture"></canvas>
        <canvas id="overlay" data-testid="overlay"></canvas>
      </div>
      ${this.showText ? renderText(this, this.probed, status) : nothing} ${renderTags(this, status)}
      ${renderLetters(status)} ${this.#renderCenter(status)}
      ${
        this.mode === "volume"
          ? nothing
          : html`<gantry-slice-bar
              .index=${this.mode === "stack" ? this.index : status.index}
              .count=${status.count}
              .loaded=${status.loaded}
              .marks=${this.mode === "stack" ? this.marks : []}
              @index-change=${(event: CustomEvent<number>) => this.step(event.detail - (this.mode === "stack" ? this.index : status.index))}
            ></gantry-slice-bar>`
      }
    `;
  }
}

import { html, LitElement, nothing, type PropertyValues, svg } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { send } from "../api/http";
import { asProblem } from "../api/problem";
import type { Series, VoiWindow } from "../api/types";
import { type Picture, SliceLoader } from "../transport/loader";
import { renderedUrl, type Slice, slicesOf, sliceWord, spacingOf } from "../transport/stack";
import { icon } from "../ui/kit/icons";
import { controls } from "../ui/kit/styles";
import { drawOverlay, type OverlayItem } from "./contours";
import {
  dragWindow,
  HOME,
  type Matrix,
  type Placement,
  panBy,
  pinchView,
  place,
  type Size,
  scaleBar,
  type View,
  zoomAt,
} from "./geometry";
import { Gestures, type TouchTool } from "./gestures";
import { edgeLetters, planeName } from "./orientation";
import { isSameWindow, Painter } from "./painter";
import { parseWindow } from "./presets";
import "./slice-bar";
import { viewportStyles } from "./viewport-styles";

const BLANK_AFTER_MS = 150;
const SIDES: Record<string, string> = { L: "Left", R: "Right", B: "Both sides" };

/**
 * One series: picture, AI outlines, what must always be readable beside them. What the labels
 * say is what is shown, never what is still on its way.
 */
@customElement("gantry-viewport")
export class Viewport extends LitElement {
  static override styles = [controls, viewportStyles];

  @property({ attribute: false }) series: Series | null = null;
  @property() studyInstanceUid = "";
  @property() dicomweb = "";
  @property({ type: Number }) index = 0;
  @property({ attribute: false }) window: VoiWindow | null = null;
  @property({ type: Boolean }) isInverted = false;
  @property({ attribute: false }) overlay: readonly OverlayItem[] = [];
  @property({ type: Number }) opacity = 1;
  @property({ type: Boolean }) isAiHidden = false;
  @property({ type: Boolean }) hasUnreviewed = false;
  @property() touchTool: TouchTool = "scroll";
  /** Slices that carry a finding, marked on the bar. */
  @property({ attribute: false }) marks: readonly number[] = [];

  @state() private view: View = HOME;
  @state() private shown: { index: number; picture: Picture } | null = null;
  @state() private preview: VoiWindow | null = null;
  @state() private isLoading = false;
  @state() private error: unknown = null;
  @state() private loaded: boolean[] = [];
  @state() private size: Size = { width: 0, height: 0 };
  @query(".surface") private surface!: HTMLElement;
  @query("#picture") private pictureCanvas!: HTMLCanvasElement;
  @query("#overlay") private overlayCanvas!: HTMLCanvasElement;
  #loader: SliceLoader | null = null;
  #slices: Slice[] = [];
  #painter = new Painter();
  #resize = new ResizeObserver(([entry]) => {
    if (entry) this.size = { width: entry.contentRect.width, height: entry.contentRect.height };
  });
  #blank: ReturnType<typeof setTimeout> | undefined;
  #turn = 0;
  #frame = 0;

  override firstUpdated(): void {
    this.#resize.observe(this);
    new Gestures(this.surface, {
      scroll: (steps) => this.#emit("index-change", this.#clamp(this.index + steps)),
      window: (dx, dy, isOver) => this.#dragWindow(dx, dy, isOver),
      zoom: (factor, at) => {
        this.view = zoomAt(this.view, factor, at, this.size);
      },
      pan: (dx, dy) => {
        this.view = panBy(this.view, dx, dy);
      },
      pinch: (from, to) => {
        this.view = pinchView(this.view, from, to, this.size);
      },
      pixelsPerSlice: () => Math.max(4, Math.min(24, this.size.height / Math.max(1, this.#slices.length))),
      touchTool: () => this.touchTool,
    });
    window.addEventListener("online", this.#online);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resize.disconnect();
    this.#loader?.close();
    window.removeEventListener("online", this.#online);
  }

  /** Whole picture in the middle. */
  fit(): void {
    this.view = HOME;
  }

  #online = (): void => this.#loader?.retry();

  #clamp(index: number): number {
    return Math.min(this.#slices.length - 1, Math.max(0, index));
  }

  #emit(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #dragWindow(dx: number, dy: number, isOver: boolean): void {
    const start = this.window ?? this.shown?.picture.window;
    if (!start) return;
    // Up is brighter, whichever end of the values is white.
    const next = dragWindow(start, dx, this.#isReversed === this.isInverted ? dy : -dy);
    this.preview = isOver ? null : next;
    if (isOver) this.#emit("window-change", next);
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("series")) this.#open(changed.get("series") ?? null);
    if (
      changed.has("series") ||
      changed.has("index") ||
      changed.has("window") ||
      changed.has("size" as never)
    )
      this.#look();
  }

  #open(before: Series | null): void {
    const isSame = before?.series_instance_uid === this.series?.series_instance_uid;
    this.#loader?.close();
    this.#loader = null;
    this.shown = null;
    if (!isSame) this.view = HOME;
    this.error = null;
    this.#slices = this.series ? slicesOf(this.series) : [];
    const series = this.series;
    if (!series) return;
    const connection = (navigator as Navigator & { connection?: { saveData?: boolean } }).connection;
    this.#loader = new SliceLoader(this.#slices, {
      urlOf: (slice) => renderedUrl(this.dicomweb, this.studyInstanceUid, series.series_instance_uid, slice),
      fetchPicture: async (url, accept, signal) => {
        const answer = await send(url, { headers: { Accept: accept }, signal });
        return { blob: await answer.blob(), window: parseWindow(answer.headers.get("Gantry-Window")) };
      },
      decode: (blob) => createImageBitmap(blob, { colorSpaceConversion: "none" }),
      onArrival: (index) => this.#arrived(index),
      ahead: connection?.saveData ? 8 : 100,
    });
  }

  #arrived(index: number): void {
    this.loaded = this.#loader?.loaded() ?? [];
    if (index === this.index) void this.#refresh();
  }

  #look(): void {
    const matrix = this.#matrix(this.#slices[this.index]);
    if (!this.#loader || !matrix || this.size.width === 0) return;
    const { scaleX } = place(matrix, this.size, HOME);
    this.#loader.look(this.index, this.window, scaleX * devicePixelRatio);
    this.loaded = this.#loader.loaded();
    void this.#refresh();
  }

  async #refresh(): Promise<void> {
    const turn = ++this.#turn;
    const { index } = this;
    const picture = await this.#loader?.best();
    if (turn !== this.#turn) return;
    clearTimeout(this.#blank);
    this.error = picture ? null : (this.#loader?.failure() ?? null);
    if (picture || this.error) {
      this.shown = picture ? { index, picture } : null;
      this.isLoading = false;
      if (picture?.window && !picture.asked) this.#emit("window-found", picture.window);
      return;
    }
    // A moment of the former slice is calmer than a flash of black; longer would mislead.
    this.#blank = setTimeout(() => {
      this.shown = null;
      this.isLoading = true;
    }, BLANK_AFTER_MS);
  }

  #matrix(slice: Slice | undefined): Matrix | null {
    if (!slice) return null;
    const { columns, rows } = slice.instance;
    const [rowSpacing, columnSpacing] = spacingOf(slice) ?? [1, 1];
    return { columns, rows, rowSpacing, columnSpacing };
  }

  override updated(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
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
    const placement = this.#placement();
    const slice = this.#slices[this.shown?.index ?? -1];
    const matrix = this.#matrix(slice);
    if (!picture || !overlay || !this.shown || !placement || !slice || !matrix) return;
    const window = this.preview ?? this.window;
    const look = { window, isReversed: this.#isReversed, isInverted: this.isInverted, ratio };
    this.#painter.paint(picture, this.shown.picture, placement, matrix, look);
    if (this.isAiHidden) return;
    drawOverlay(overlay, this.overlay, slice.instance.sop_instance_uid, placement, this.opacity, ratio);
  }

  #placement(): Placement | null {
    const matrix = this.#matrix(this.#slices[this.shown?.index ?? this.index]);
    return matrix && this.size.width > 0 ? place(matrix, this.size, this.view) : null;
  }

  /** Low values are white, as in most film-like recordings. */
  get #isReversed(): boolean {
    return this.#slices[this.index]?.instance.photometric_interpretation === "MONOCHROME1";
  }

  /** Why what is on the screen is less than what the modality made; empty where it is not. */
  get #lossy(): string {
    if (!this.shown) return "";
    const { tier, asked, window } = this.shown.picture;
    const wanted = this.preview ?? this.window;
    const isInWindow = wanted ? isSameWindow(window, wanted) : asked === null;
    if (tier === "motion" || !isInWindow) return "Lossy preview, not for diagnosis";
    const isSource = this.#slices[this.shown.index]?.instance.is_lossy;
    return isSource ? "Lossy when received, not for diagnosis" : "";
  }

  #renderSeries(series: Series, slice: Slice | undefined) {
    const plane = planeName(slice?.instance.image_orientation_patient ?? null);
    const side = SIDES[series.laterality];
    return html`<div class="corner top start">
      <strong>${series.series_number === null ? "" : `${series.series_number}: `}${series.series_description || series.modality}</strong>
      <span>${[plane, series.body_part_examined].filter(Boolean).join(" · ")}</span>
      ${side ? html`<span class="laterality" data-testid="laterality">${side}</span>` : nothing}
    </div>`;
  }

  #renderTags() {
    return html`<div class="corner top end">
      ${
        this.hasUnreviewed
          ? html`<span class="chip ai" data-testid="ai-tag">
              ${icon("spark", "small")}${this.isAiHidden ? "AI hidden, not reviewed" : "AI, not reviewed"}
            </span>`
          : nothing
      }
      ${
        this.#lossy
          ? html`<span class="chip warn" data-testid="lossy-tag">${icon("alert", "small")}${this.#lossy}</span>`
          : nothing
      }
    </div>`;
  }

  #renderPlace(slice: Slice) {
    const { position_mm } = slice.instance;
    const at = (this.shown?.index ?? this.index) + 1;
    return html`<div class="corner bottom start">
      <span><span>${sliceWord(slice)} </span><strong data-testid="slice-label">${at} / ${this.#slices.length}</strong></span>
      ${position_mm === null ? nothing : html`<span>Pos ${position_mm.toFixed(1)} mm</span>`}
    </div>`;
  }

  #renderLook(slice: Slice, placement: Placement) {
    const window = this.preview ?? this.window ?? this.shown?.picture.window;
    const format = (value: number): string =>
      value.toLocaleString("en", { maximumFractionDigits: 2, useGrouping: false });
    const spacing = spacingOf(slice);
    const bar = spacing
      ? scaleBar(placement.scaleX / spacing[1], Math.min(160, this.size.width * 0.3))
      : null;
    return html`<div class="corner bottom end">
      ${
        bar
          ? svg`<svg class="scale" width=${bar.px} height="8" aria-hidden="true">
              <path d="M0.5 0v7H${bar.px - 0.5}V0" fill="none" stroke="#000" stroke-width="3"></path>
              <path d="M0.5 0v7H${bar.px - 0.5}V0" fill="none" stroke="#fff" stroke-width="1.5"></path>
            </svg>`
          : nothing
      }
      <span>${bar ? (bar.mm >= 10 ? `${bar.mm / 10} cm` : `${bar.mm} mm`) : "No scale"}</span>
      <span data-testid="window-label">
        ${window ? `C ${format(window.center)}  W ${format(window.width)}` : this.shown ? "Colour" : ""}${this.isInverted ? " inverted" : ""}
      </span>
      <span data-testid="zoom-label">Zoom ${Math.round(placement.scaleX * 100)} %</span>
    </div>`;
  }

  #renderLetters(slice: Slice) {
    const letters = edgeLetters(slice.instance.image_orientation_patient);
    if (!letters) return nothing;
    return html`<div data-testid="orientation" aria-label="Orientation: left edge ${letters.left}, top edge ${letters.top}">
      <span class="letter left">${letters.left}</span><span class="letter right">${letters.right}</span>
      <span class="letter topmost">${letters.top}</span><span class="letter lowest">${letters.bottom}</span>
    </div>`;
  }

  #renderCenter(word: string) {
    if (this.error) {
      const { message, correlationId } = asProblem(this.error);
      return html`<div class="center"><div class="message bad" role="alert" data-testid="picture-error">
        ${icon("alert")}
        <div class="stack">
          <strong>${word} ${this.index + 1} cannot be shown</strong>
          <p>${message}</p>
          ${correlationId ? html`<p class="muted small">Reference <span class="code">${correlationId}</span></p>` : nothing}
          <div><button class="button" @click=${() => this.#loader?.retry()}>Try again</button></div>
        </div>
      </div></div>`;
    }
    return this.isLoading && this.#slices.length > 0
      ? html`<div class="center muted" role="status">${icon("wheel", "turning")}Loading ${word.toLowerCase()} ${this.index + 1}</div>`
      : nothing;
  }

  override render() {
    const slice = this.#slices[this.shown?.index ?? this.index];
    const placement = this.#placement();
    const word = slice ? sliceWord(slice) : "Image";
    return html`
      <div
        class="surface"
        tabindex="0"
        role="img"
        aria-label="${word} ${this.index + 1} of ${this.#slices.length}"
        @dblclick=${() => this.#emit("maximise", null)}
      >
        <canvas id="picture"></canvas>
        <canvas id="overlay" data-testid="overlay"></canvas>
      </div>
      ${this.series ? this.#renderSeries(this.series, slice) : nothing} ${this.#renderTags()}
      ${slice ? html`${this.#renderLetters(slice)} ${this.#renderPlace(slice)}` : nothing}
      ${slice && placement ? this.#renderLook(slice, placement) : nothing} ${this.#renderCenter(word)}
      <gantry-slice-bar
        .index=${this.index}
        .count=${this.#slices.length}
        .loaded=${this.loaded}
        .marks=${this.marks}
        @index-change=${(event: CustomEvent<number>) => this.#emit("index-change", event.detail)}
      ></gantry-slice-bar>
    `;
  }
}

import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Series, VoiWindow } from "../api/types";
import type { Cell } from "../layout/cells";
import type { Layout } from "../layout/layouts";
import type { RenderConnection } from "../transport/render-connection";
import type { OverlayItem } from "../viewport/contours";
import type { TouchTool } from "../viewport/gestures";
import type { Plane, ReferencePlane, ShownPlane, Vec3 } from "../viewport/lps";
import type { Crop, Tool } from "../viewport/modes";
import type { Viewport } from "../viewport/viewport";
import "../viewport/viewport";
import { icon } from "./kit/icons";
import { controls } from "./kit/styles";

/** One cell as it is to be seen now. */
export interface CellView {
  at: number;
  cell: Cell;
  series: Series | null;
  connection: RenderConnection | null;
  overlay: readonly OverlayItem[];
  marks: readonly number[];
  hasUnreviewed: boolean;
  crosshair: Vec3 | null;
  referencePlanes: readonly ReferencePlane[];
  meshes: readonly string[];
  tool: Tool;
  color: string;
  isLinked: boolean;
  /** Linked across frames of reference, on the reader's word: with which viewport, and by how much. */
  handLink: string;
  /** Why the mode of the cell cannot be had; empty where it can. */
  refusal: string;
}

/** What the viewports report, each with the number of its cell. */
export interface CellHandlers {
  activated(at: number): void;
  dropped(seriesUid: string, at: number): void;
  indexChanged(at: number, index: number): void;
  windowChanged(at: number, window: VoiWindow): void;
  windowFound(at: number, window: VoiWindow): void;
  viewChanged(at: number, view: ViewDetail): void;
  crosshairChanged(at: number, point: Vec3): void;
  planeChanged(at: number, plane: ShownPlane | null): void;
  planeTurned(at: number, plane: Plane): void;
  presetWindowChanged(at: number, window: { shift: number; scale: number }): void;
  cropChanged(at: number, crop: Crop): void;
  loadedChanged(seriesUid: string, loaded: number, total: number): void;
  maximised(at: number): void;
  asImages(at: number): void;
}

export interface ViewDetail {
  zoom: number;
  pan: { x: number; y: number };
  rotation: Cell["rotation"];
  isFlipped: boolean;
}

/** A dragged thumbnail carries the UID of its series. */
export const SERIES_DRAG = "text/x-gantry-series";

/** The viewports side by side, one of them active. */
@customElement("gantry-viewport-grid")
export class ViewportGrid extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        gap: 2px;
        min-width: 0;
        min-height: 0;
        overflow: hidden;
        background: var(--line);
      }
      .cell {
        position: relative;
        display: grid;
        min-width: 0;
        min-height: 0;
        overflow: hidden;
        background: #000;
      }
      gantry-viewport {
        width: 100%;
        height: 100%;
      }
      /* Over the picture and through it: the frame takes no room, so that nothing moves when it does. */
      .cell.framed::after {
        content: "";
        position: absolute;
        inset: 0;
        border: 2px solid transparent;
        pointer-events: none;
      }
      .cell.framed.active::after {
        border-color: var(--focus);
      }
      .cell.target::after {
        border: 3px dashed var(--accent);
        background: rgb(124 196 240 / 18%);
      }
      .number {
        position: absolute;
        z-index: 1;
        bottom: 50%;
        left: 0;
        width: 4px;
        height: 36px;
        translate: 0 50%;
        border-radius: 0 2px 2px 0;
      }
      .middle {
        position: absolute;
        inset: 0;
        display: grid;
        place-content: center;
        justify-items: center;
        gap: 10px;
        padding: 20px;
        text-align: center;
      }
      .middle.refused {
        background: #000;
      }
      .middle p {
        max-width: 44ch;
      }
      .told {
        position: absolute;
        bottom: 64px;
        left: 50%;
        translate: -50% 0;
        background: rgb(10 13 16 / 88%);
        width: max-content;
        max-width: calc(100% - 12px);
        pointer-events: none;
      }
      .told.by-hand {
        bottom: 96px;
      }
    `,
  ];

  @property({ attribute: false }) layout!: Layout;
  @property({ attribute: false }) items: readonly CellView[] = [];
  @property({ attribute: false }) handlers!: CellHandlers;
  @property({ type: Number }) active = 0;
  /** Only the active cell is seen. */
  @property({ type: Boolean }) isSolo = false;
  @property() studyInstanceUid = "";
  @property() dicomweb = "";
  @property() touchTool: TouchTool = "scroll";
  @property({ type: Number }) opacity = 1;
  @property({ type: Boolean }) isAiHidden = false;
  @property({ type: Boolean }) isPhone = false;
  @property({ type: Boolean }) isTextHidden = false;
  @state() private target = -1;

  viewportAt(at: number): Viewport | null {
    return this.renderRoot.querySelector<Viewport>(`[data-cell="${at}"] gantry-viewport`);
  }

  /** Give a cell's picture the keyboard. */
  focusCell(at: number): void {
    this.viewportAt(at)?.shadowRoot?.querySelector<HTMLElement>(".surface")?.focus({ preventScroll: true });
  }

  #drag(event: DragEvent, at: number): void {
    if (!event.dataTransfer?.types.includes(SERIES_DRAG)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    this.target = at;
  }

  #drop(event: DragEvent, at: number): void {
    const uid = event.dataTransfer?.getData(SERIES_DRAG);
    this.target = -1;
    if (!uid) return;
    event.preventDefault();
    this.handlers.dropped(uid, at);
  }

  #renderViewport({ at, cell, series, ...item }: CellView) {
    const { handlers: on } = this;
    if (!series)
      return html`<div class="middle muted" data-testid="empty-cell">
        ${icon("layers")}
        <span>${at === this.active ? "Empty: choose a series, or drag one here" : "Empty"}</span>
      </div>`;
    if (item.refusal)
      return html`<div class="middle refused" role="status" data-testid="cell-refusal">
        ${icon("info")}
        <p>${item.refusal}</p>
        <button class="button" @click=${() => on.asImages(at)}>Show the images</button>
      </div>`;
    const told = <T>(run: (at: number, detail: T) => void) => {
      return (event: CustomEvent<T>): void => run.call(on, at, event.detail);
    };
    return html`<gantry-viewport
      data-testid="viewport"
      .series=${series}
      .studyInstanceUid=${this.studyInstanceUid}
      .dicomweb=${this.dicomweb}
      .connection=${item.connection}
      .mode=${cell.mode}
      .index=${cell.index}
      .window=${cell.window}
      .lut=${cell.lut}
      .isInverted=${cell.isInverted}
      .rotation=${cell.rotation}
      .isFlipped=${cell.isFlipped}
      .interpolation=${cell.interpolation}
      .quality=${cell.quality}
      .overlay=${item.overlay}
      .opacity=${this.opacity}
      .isAiHidden=${this.isAiHidden}
      .hasUnreviewed=${item.hasUnreviewed}
      .marks=${item.marks}
      .tool=${item.tool}
      .touchTool=${this.touchTool}
      .crosshair=${item.crosshair}
      .plane=${cell.plane}
      .slab=${cell.slab}
      .preset=${cell.preset}
      .presetWindow=${cell.presetWindow}
      .crop=${cell.crop}
      .isCropping=${cell.isCropping}
      .meshes=${item.meshes}
      .referencePlanes=${item.referencePlanes}
      .isActive=${at === this.active}
      .isPhone=${this.isPhone}
      .showText=${!this.isTextHidden}
      @index-change=${told(on.indexChanged)}
      @window-change=${told(on.windowChanged)}
      @window-found=${told(on.windowFound)}
      @view-change=${told(on.viewChanged)}
      @crosshair-change=${told(on.crosshairChanged)}
      @plane-change=${told(on.planeChanged)}
      @plane-rotate=${(event: CustomEvent<Plane & { id: string }>) => on.planeTurned(Number(event.detail.id), event.detail)}
      @preset-window-change=${told(on.presetWindowChanged)}
      @crop-change=${told(on.cropChanged)}
      @loaded-change=${(event: CustomEvent<{ loaded: number; total: number }>) =>
        on.loadedChanged(series.series_instance_uid, event.detail.loaded, event.detail.total)}
      @maximise=${() => on.maximised(at)}
    ></gantry-viewport>`;
  }

  #renderCell(item: CellView) {
    const { at, cell, series } = item;
    const area = this.layout.cells[at];
    if (!area) return nothing;
    const isActive = at === this.active;
    const isSeveral = this.items.length > 1 && !this.isSolo;
    const name = series ? series.series_description || series.modality : "empty";
    const activate = (): void => this.handlers.activated(at);
    return html`<div
      class="cell ${isActive ? "active" : ""} ${isSeveral ? "framed" : ""} ${this.target === at ? "target" : ""}"
      role="group"
      aria-label="Viewport ${at + 1} of ${this.layout.cells.length}: ${name}"
      aria-current=${isActive}
      data-testid="cell"
      data-cell=${at}
      data-series=${cell.seriesUid}
      data-mode=${cell.mode}
      data-index=${cell.index}
      ?hidden=${this.isSolo && !isActive}
      @pointerdown=${activate}
      @focusin=${activate}
      @dragover=${(event: DragEvent) => this.#drag(event, at)}
      @dragleave=${() => (this.target = -1)}
      @drop=${(event: DragEvent) => this.#drop(event, at)}
    >
      ${this.#renderViewport(item)}
      ${
        isSeveral && series && cell.mode !== "volume"
          ? html`<span class="number" aria-hidden="true"></span>`
          : nothing
      }
      ${
        item.handLink
          ? html`<span class="chip warn told by-hand" role="status" data-testid="by-hand">
              ${icon("link", "small")}${item.handLink}
            </span>`
          : nothing
      }
      ${
        item.isLinked && cell.isOutside
          ? html`<span class="chip warn told" role="status" data-testid="outside">
              ${icon("alert", "small")}Not the same level: the series ends here
            </span>`
          : nothing
      }
    </div>`;
  }

  override render() {
    return repeat(
      this.items.filter(({ at }) => !this.isPhone || at === this.active),
      ({ at }) => at,
      (item) => this.#renderCell(item),
    );
  }

  // The pages' security policy refuses style attributes in markup; set from here they are allowed.
  override updated(): void {
    const { rows, columns } = this.isSolo ? { rows: 1, columns: 1 } : this.layout;
    this.style.gridTemplate = `repeat(${rows}, minmax(0, 1fr)) / repeat(${columns}, minmax(0, 1fr))`;
    for (const cell of this.renderRoot.querySelectorAll<HTMLElement>(".cell")) {
      const at = Number(cell.dataset.cell);
      const area = this.layout.cells[at];
      if (!area) continue;
      const { row, column, rowSpan, columnSpan } = area;
      cell.style.gridArea = this.isSolo
        ? "1 / 1"
        : `${row + 1} / ${column + 1} / span ${rowSpan} / span ${columnSpan}`;
      const number = cell.querySelector<HTMLElement>(".number");
      if (number) number.style.background = this.items[at]?.color ?? "";
    }
  }
}

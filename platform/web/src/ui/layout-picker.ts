import { css, html, LitElement, nothing, svg } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { GRIDS, type Layout, VOLUME_LAYOUTS } from "../layout/layouts";
import { icon } from "./kit/icons";
import { controls } from "./kit/styles";

const LETTERS = { axial: "A", coronal: "C", sagittal: "S", volume: "3D", stack: "", oblique: "" } as const;

/** All layouts as small pictures of themselves. */
@customElement("gantry-layout-picker")
export class LayoutPicker extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        gap: 10px;
        width: 276px;
      }
      .grid {
        display: grid;
        grid-template-columns: repeat(3, 44px);
        gap: 4px;
        justify-content: start;
      }
      .square {
        position: relative;
        width: 44px;
        height: 44px;
        border: 1px solid var(--line-strong);
        border-radius: 4px;
        background: var(--ground);
        color: var(--muted);
        font: inherit;
        font-size: 0.75rem;
        cursor: pointer;
      }
      .square.within {
        border-color: var(--accent);
        background: var(--accent-fill);
        color: #fff;
      }
      .square[aria-pressed="true"] {
        outline: 2px solid #fff;
        outline-offset: -4px;
      }
      .square:focus-visible {
        outline: 2px solid var(--focus);
        outline-offset: 2px;
      }
      .head {
        display: flex;
        justify-content: space-between;
        gap: 8px;
        min-height: 20px;
      }
      .volumes {
        display: grid;
        gap: 4px;
      }
      .volumes .button {
        justify-content: start;
        padding: 0 10px;
      }
      svg.small-picture {
        width: 42px;
        height: 30px;
        flex: none;
      }
      rect {
        fill: var(--ground);
        stroke: var(--accent);
        stroke-width: 1.5;
      }
      text {
        fill: var(--text);
        font-size: 8px;
        text-anchor: middle;
        dominant-baseline: central;
      }
    `,
  ];

  @property() current = "";
  /** Why planes and volume cannot be had; empty where they can. */
  @property() refusal = "";
  @state() private hovered: Layout | null = null;

  #choose(layout: Layout): void {
    this.dispatchEvent(new CustomEvent("layout-change", { detail: layout.id }));
  }

  #key(event: KeyboardEvent, at: number): void {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 3, ArrowUp: -3 }[event.key];
    if (!by) return;
    const buttons = this.renderRoot.querySelectorAll<HTMLElement>(".square, .volumes button");
    const next = buttons[Math.max(0, at + by)];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  #renderGrid() {
    const shown = this.hovered ?? GRIDS.find(({ id }) => id === this.current) ?? null;
    return html`<div class="head small">
        <strong>Rows and columns</strong><span class="muted" aria-hidden="true">${shown?.name ?? ""}</span>
      </div>
      <div class="grid" role="group" aria-label="Rows and columns" @pointerleave=${() => (this.hovered = null)}>
        ${GRIDS.map((layout, at) => {
          const isWithin = shown !== null && layout.rows <= shown.rows && layout.columns <= shown.columns;
          return html`<button
            class="square ${isWithin ? "within" : ""}"
            aria-label=${layout.name}
            aria-pressed=${layout.id === this.current}
            title=${layout.name}
            data-testid="layout-${layout.id}"
            @pointerenter=${() => (this.hovered = layout)}
            @focus=${() => (this.hovered = layout)}
            @blur=${() => (this.hovered = null)}
            @keydown=${(event: KeyboardEvent) => this.#key(event, at)}
            @click=${() => this.#choose(layout)}
          >
            ${layout.rows}×${layout.columns}
          </button>`;
        })}
      </div>`;
  }

  #renderPicture({ rows, columns, cells }: Layout) {
    const [width, height] = [40 / columns, 28 / rows];
    return html`<svg class="small-picture" viewBox="0 0 42 30" aria-hidden="true">
      ${cells.map((cell) => {
        const [x, y] = [1 + cell.column * width, 1 + cell.row * height];
        const [across, down] = [cell.columnSpan * width, cell.rowSpan * height];
        return svg`<rect x=${x} y=${y} width=${across} height=${down}></rect>
          <text x=${x + across / 2} y=${y + down / 2}>${LETTERS[cell.mode]}</text>`;
      })}
    </svg>`;
  }

  override render() {
    return html`${this.#renderGrid()}
      <div class="volumes" role="group" aria-label="Planes and volume">
        <strong class="small">Planes and volume of one series</strong>
        ${VOLUME_LAYOUTS.map(
          (layout) => html`<button
            class="button quiet"
            aria-pressed=${layout.id === this.current}
            aria-disabled=${this.refusal ? "true" : nothing}
            title=${this.refusal || layout.name}
            data-testid="layout-${layout.id}"
            @click=${() => !this.refusal && this.#choose(layout)}
          >
            ${this.#renderPicture(layout)}${layout.name}
          </button>`,
        )}
        ${
          this.refusal
            ? html`<p class="small row" data-testid="volume-refusal">${icon("info", "small")}<span>${this.refusal}</span></p>`
            : nothing
        }
      </div>`;
  }
}

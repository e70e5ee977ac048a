import { css, html, LitElement, nothing, svg } from "lit";
import { customElement, property } from "lit/decorators.js";
import { loadedRuns } from "../transport/order";
import { controls } from "../ui/kit/styles";

/** Scroll bar of a stack: where one is, what is loaded, where findings are. */
@customElement("gantry-slice-bar")
export class SliceBar extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        position: absolute;
        top: 0;
        right: 0;
        bottom: 0;
        width: 28px;
      }
      .track {
        width: 100%;
        height: 100%;
        cursor: pointer;
        touch-action: none;
      }
      .track:focus-visible {
        outline-offset: -3px;
      }
      svg {
        display: block;
        width: 100%;
        height: 100%;
      }
      .rail {
        fill: #1c232b;
      }
      .loaded {
        fill: #4d6275;
      }
      .mark {
        fill: var(--ai);
      }
      .thumb {
        fill: #fff;
      }
    `,
  ];

  @property({ type: Number }) index = 0;
  @property({ type: Number }) count = 0;
  @property({ attribute: false }) loaded: readonly boolean[] = [];
  @property({ attribute: false }) marks: readonly number[] = [];

  #go(event: PointerEvent): void {
    const track = event.currentTarget as HTMLElement;
    if (event.type === "pointerdown") track.setPointerCapture(event.pointerId);
    else if (!track.hasPointerCapture(event.pointerId)) return;
    const box = track.getBoundingClientRect();
    const at = Math.floor(((event.clientY - box.top) / box.height) * this.count);
    const index = Math.min(this.count - 1, Math.max(0, at));
    if (index !== this.index) this.dispatchEvent(new CustomEvent("index-change", { detail: index }));
  }

  override render() {
    if (this.count < 2) return nothing;
    const percent = (slices: number): string => `${(slices / this.count) * 100}%`;
    const height = `${Math.max(100 / this.count, 1)}%`;
    return html`<div
      class="track"
      role="slider"
      tabindex="0"
      aria-label="Slice"
      aria-orientation="vertical"
      aria-valuemin="1"
      aria-valuemax=${this.count}
      aria-valuenow=${this.index + 1}
      data-testid="slice-bar"
      data-loaded=${this.loaded.filter(Boolean).length}
      @pointerdown=${this.#go}
      @pointermove=${this.#go}
    >
      <svg aria-hidden="true">
        <rect class="rail" x="12" y="0" width="6" height="100%" rx="3"></rect>
        ${loadedRuns(this.loaded).map(
          ([first, last]) =>
            svg`<rect class="loaded" x="12" y=${percent(first)} width="6" height=${percent(last - first + 1)}></rect>`,
        )}
        ${loadedRuns(Array.from({ length: this.count }, (_, at) => this.marks.includes(at))).map(
          ([first, last]) =>
            svg`<rect class="mark" x="20" y=${percent(first)} width="3" height=${percent(last - first + 1)}></rect>`,
        )}
        <rect class="thumb" x="8" y=${percent(this.index)} width="14" height=${height} rx="2"></rect>
      </svg>
    </div>`;
  }
}

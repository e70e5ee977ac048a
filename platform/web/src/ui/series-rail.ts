import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Series } from "../api/types";
import { count, objectWord } from "./kit/format";
import { icon } from "./kit/icons";
import { phone } from "./kit/phone";
import { controls } from "./kit/styles";
import { SERIES_DRAG } from "./viewport-grid";

/** How many pictures one scrolls through: a recording of frames is one object. */
function pictures({ instances, number_of_instances }: Series): string {
  const frames = instances.reduce((sum, instance) => sum + Math.max(1, instance.frames), 0);
  return frames > instances.length ? count(frames, "frame") : count(number_of_instances, "image");
}

/** A picture that cannot be made leaves the icon beneath it. */
const hide = (event: Event): void => {
  (event.target as HTMLImageElement).hidden = true;
};

/** Thumbnails of the series; results of AI are marked, and those without picture say what they are. */
@customElement("gantry-series-rail")
export class SeriesRail extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: block;
        padding: 8px;
      }
      ul {
        display: grid;
        gap: 8px;
      }
      button {
        display: grid;
        gap: 4px;
        width: 100%;
        padding: 6px;
        border: 2px solid transparent;
        border-radius: var(--radius);
        background: var(--surface);
        color: var(--text);
        font: inherit;
        font-size: 0.8125rem;
        line-height: 1.3;
        text-align: left;
        cursor: pointer;
      }
      button:hover {
        background: var(--hover);
      }
      button[aria-current="true"] {
        border-color: var(--accent);
        background: var(--selected);
      }
      .picture {
        position: relative;
        display: grid;
        place-content: center;
        aspect-ratio: 1;
        border-radius: 4px;
        background: #000;
        color: var(--line-strong);
        overflow: hidden;
      }
      .picture.flat {
        aspect-ratio: 3;
        background: var(--raised);
      }
      img {
        position: absolute;
        inset: 0;
        width: 100%;
        height: 100%;
        object-fit: contain;
      }
      .chip {
        justify-self: start;
        padding: 1px 6px;
        font-size: 0.75rem;
        white-space: nowrap;
      }
      .name {
        hyphens: auto;
        overflow-wrap: break-word;
      }
      .where {
        position: absolute;
        top: 4px;
        left: 4px;
        display: flex;
        gap: 3px;
      }
      .where span {
        min-width: 20px;
        padding: 0 5px;
        border: 1px solid var(--line-strong);
        border-radius: 4px;
        background: rgb(10 13 16 / 88%);
        color: var(--text);
        font-size: 0.75rem;
        text-align: center;
      }
      .where .active {
        border-color: var(--focus);
        color: var(--focus);
      }
      .load {
        position: absolute;
        right: 0;
        bottom: 0;
        left: 0;
        height: 4px;
        border-radius: 0;
        background: rgb(43 53 65 / 80%);
      }
      @media ${phone} {
        ul {
          grid-template-columns: repeat(auto-fill, minmax(112px, 1fr));
        }
      }
    `,
  ];

  @property({ attribute: false }) series: readonly Series[] = [];
  @property() currentUid = "";
  /** Findings by series, for the number on the thumbnail. */
  @property({ attribute: false }) findings: ReadonlyMap<string, number> = new Map();

  /** Which series the viewports show, by viewport. */
  @property({ attribute: false }) shownUids: readonly string[] = [];
  @property({ type: Number }) active = 0;
  /** How much of each series is here, by series. */
  @property({ attribute: false }) loaded: ReadonlyMap<string, { loaded: number; total: number }> = new Map();
  @property({ type: Boolean }) canDrag = false;

  #renderWhere(uid: string) {
    if (this.shownUids.length < 2) return nothing;
    const at = this.shownUids.flatMap((shown, index) => (shown === uid ? [index] : []));
    if (at.length === 0) return nothing;
    const isOne = at.length === this.shownUids.length;
    const words = isOne ? ["all"] : at.map((index) => String(index + 1));
    return html`<span class="where" data-testid="shown-in">
      <span class="visually-hidden">Shown in viewport</span>
      ${words.map(
        (word, index) =>
          html`<span class=${isOne || at[index] === this.active ? "active" : ""}>${word}</span>`,
      )}
    </span>`;
  }

  #renderLoaded(uid: string) {
    const { loaded = 0, total = 0 } = this.loaded.get(uid) ?? {};
    if (total < 2 || loaded === 0) return nothing;
    return html`<progress
      class="load" max=${total} .value=${loaded} data-testid="series-loaded"
      aria-label="${loaded} of ${total} images loaded" title="${loaded} of ${total} images loaded"
    ></progress>`;
  }

  #renderSeries(series: Series) {
    const uid = series.series_instance_uid;
    const drag = (event: DragEvent): void => event.dataTransfer?.setData(SERIES_DRAG, uid);
    const number = this.findings.get(series.series_instance_uid) ?? 0;
    const choose = (): void => {
      this.dispatchEvent(new CustomEvent("series-change", { detail: series }));
    };
    return html`<li>
      <button
        aria-current=${uid === this.currentUid}
        draggable=${this.canDrag && series.is_image ? "true" : "false"}
        @dragstart=${drag}
        data-testid="series"
        data-ai=${series.is_ai_result}
        @click=${choose}
      >
        <span class="picture ${series.is_image ? "" : "flat"}">
          ${icon(series.is_image ? "layers" : "chart")}
          ${series.is_image && series.thumbnail_url ? html`<img src=${series.thumbnail_url} alt="" loading="lazy" draggable="false" @error=${hide} />` : nothing}
          ${this.#renderWhere(uid)} ${this.#renderLoaded(uid)}
        </span>
        <span class="name">
          ${series.series_number === null ? "" : `${series.series_number}: `}${series.series_description || "No description"}
        </span>
        <span class="muted number">
          ${series.is_image ? `${series.modality} · ${pictures(series)}` : objectWord(series.modality)}
        </span>
        ${series.is_ai_result ? html`<span class="chip ai">${icon("spark", "small")}AI result</span>` : nothing}
        ${number > 0 ? html`<span class="chip ai">${icon("spark", "small")}${count(number, "finding")}</span>` : nothing}
      </button>
    </li>`;
  }

  override render() {
    return html`<ul aria-label="Series">${this.series.map((series) => this.#renderSeries(series))}</ul>`;
  }
}

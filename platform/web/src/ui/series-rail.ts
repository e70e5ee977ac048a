import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Series } from "../api/types";
import { count, objectWord } from "./kit/format";
import { icon } from "./kit/icons";
import { controls } from "./kit/styles";

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
      @media (max-width: 720px) {
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

  #renderSeries(series: Series) {
    const number = this.findings.get(series.series_instance_uid) ?? 0;
    const choose = (): void => {
      this.dispatchEvent(new CustomEvent("series-change", { detail: series }));
    };
    return html`<li>
      <button
        aria-current=${series.series_instance_uid === this.currentUid}
        data-testid="series"
        data-ai=${series.is_ai_result}
        @click=${choose}
      >
        <span class="picture ${series.is_image ? "" : "flat"}">
          ${icon(series.is_image ? "layers" : "chart")}
          ${series.is_image && series.thumbnail_url ? html`<img src=${series.thumbnail_url} alt="" loading="lazy" @error=${hide} />` : nothing}
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

import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { seesUnreviewed } from "../api/bootstrap";
import type { Analysis, Finding, ReviewState, Study } from "../api/types";
import { slicesOf } from "../transport/stack";
import { count } from "../ui/kit/format";
import { icon } from "../ui/kit/icons";
import { controls } from "../ui/kit/styles";
import "./finding-row";
import { isWhole, type OverlayStore, partsOf } from "./overlay-store";
import "./result-card";
import type { AreaPoint } from "./sparkline";

/** All results of a study, newest first; a failed run is a result too, never "no finding". */
@customElement("gantry-findings")
export class FindingsPanel extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        align-content: start;
        gap: 12px;
        padding: 12px;
      }
      details > summary {
        display: flex;
        align-items: center;
        gap: 6px;
        min-height: var(--touch);
        padding: 0 12px;
        border-top: 1px solid var(--line);
        cursor: pointer;
      }
      .empty {
        display: grid;
        justify-items: center;
        gap: 10px;
        padding: 32px 16px;
        text-align: center;
      }
    `,
  ];

  @property({ attribute: false }) study!: Study;
  @property({ attribute: false }) analyses: readonly Analysis[] | null = null;
  @property({ attribute: false }) shown: readonly Finding[] = [];
  @property({ attribute: false }) hiddenIds: ReadonlySet<string> = new Set();
  @property({ attribute: false }) pending: ReadonlyMap<string, ReviewState> = new Map();
  @property() currentId = "";
  /** Which slice is looked at, of which series. */
  @property({ attribute: false }) place = { seriesInstanceUid: "", index: 0 };
  @property({ type: Boolean }) canReview = false;
  @property({ attribute: false }) overlays!: OverlayStore;
  /** Counts up when an outline arrives, since the store itself stays the same object. */
  @property({ type: Number }) overlayVersion = 0;

  override updated(changed: PropertyValues<this>): void {
    if (!changed.has("currentId")) return;
    this.renderRoot.querySelector("gantry-finding-row[current]")?.scrollIntoView({ block: "nearest" });
  }

  #areas(finding: Finding): { points: AreaPoint[]; count: number } {
    const series = this.study.series.find((one) => one.series_instance_uid === finding.series_instance_uid);
    const slices = series ? slicesOf(series) : [];
    const indexOf = new Map(slices.map(({ instance }, at) => [instance.sop_instance_uid, at]));
    const points = finding.slice_areas.flatMap(({ sop_instance_uid, area_mm2 }) => {
      const index = indexOf.get(sop_instance_uid);
      return index === undefined ? [] : [{ index, area: area_mm2 }];
    });
    return { points, count: slices.length };
  }

  #renderFinding(finding: Finding, parts: readonly Finding[]) {
    const { points, count: sliceCount } = this.#areas(finding);
    const isHere = finding.series_instance_uid === this.place.seriesInstanceUid;
    const isCurrent = [finding, ...parts].some(({ id }) => id === this.currentId);
    return html`<gantry-finding-row
      ?current=${isCurrent}
      .finding=${finding}
      .parts=${parts}
      .currentId=${this.currentId}
      .areas=${points}
      .sliceCount=${sliceCount}
      .sliceIndex=${isHere ? this.place.index : -1}
      .pattern=${this.shown.findIndex(({ id }) => id === finding.id)}
      .isHidden=${this.hiddenIds.has(finding.id)}
      .canReview=${this.canReview}
      .pending=${this.pending.get(finding.id) ?? ""}
      .outlineError=${this.overlays.failure(finding.id)}
      .isOutlineLoading=${this.overlays.isLoading(finding.id)}
    ></gantry-finding-row>`;
  }

  #renderAnalysis(analysis: Analysis) {
    const isRejected = (finding: Finding): boolean =>
      (this.pending.get(finding.id) ?? finding.review.state) === "rejected";
    const wholes = analysis.findings.filter(isWhole);
    const rejected = wholes.filter(isRejected);
    const standing = wholes.filter((finding) => !isRejected(finding));
    const render = (finding: Finding) => this.#renderFinding(finding, partsOf(finding, analysis.findings));
    const input = this.study.series.find(
      (one) => one.series_instance_uid === analysis.input_series_instance_uid,
    );
    return html`<gantry-result-card .analysis=${analysis} .input=${input ?? null} .revision=${this.study.revision}>
      ${repeat(standing, ({ id }) => id, render)}
      ${
        rejected.length > 0
          ? html`<details data-testid="rejected-findings">
              <summary>${icon("cancel", "small")}Rejected (${rejected.length})${icon("down", "small")}</summary>
              ${repeat(rejected, ({ id }) => id, render)}
            </details>`
          : nothing
      }
    </gantry-result-card>`;
  }

  #renderEmpty() {
    const isReceiving = this.study.state === "receiving";
    if (!seesUnreviewed() && !isReceiving)
      return html`<div class="empty">
        ${icon("clock")}
        <strong>No accepted result</strong>
        <p class="muted small">Results of AI appear here once a radiologist has accepted them.</p>
      </div>`;
    return html`<div class="empty">
      ${icon("clock")}
      <strong>Not analysed yet</strong>
      <p class="muted small">
        ${
          isReceiving
            ? `Images are still arriving (${count(this.study.number_of_instances, "image")} so far). Analysis starts once the study is complete.`
            : "No model has been run on this study."
        }
      </p>
    </div>`;
  }

  override render() {
    if (this.analyses === null) return html`<div class="empty muted" role="status">Loading results…</div>`;
    return html`
      <h2 class="visually-hidden">Results of AI</h2>
      <slot></slot>
      ${this.analyses.length === 0 ? this.#renderEmpty() : nothing}
      ${repeat(
        this.analyses,
        ({ id }) => id,
        (analysis) => this.#renderAnalysis(analysis),
      )}
    `;
  }
}

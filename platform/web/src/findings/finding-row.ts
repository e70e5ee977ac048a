import { css, html, LitElement, nothing, svg } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { asProblem } from "../api/problem";
import type { Finding, ReviewState } from "../api/types";
import { count, moment, quantity } from "../ui/kit/format";
import { icon } from "../ui/kit/icons";
import { reviewChip } from "../ui/kit/status";
import { controls } from "../ui/kit/styles";
import "./review-form";
import { type AreaPoint, sparkline } from "./sparkline";

export interface ReviewRequest {
  finding: Finding;
  decision: "accept" | "reject" | "reopen";
  reason: string;
}

/** One finding: what, how much, where, and what a person says about it. */
@customElement("gantry-finding-row")
export class FindingRow extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: block;
        border-top: 1px solid var(--line);
      }
      .row-body {
        display: grid;
        gap: 8px;
        padding: 10px 12px 12px;
        cursor: pointer;
      }
      :host([current]) {
        background: var(--selected);
        box-shadow: inset 3px 0 0 var(--accent);
      }
      .head {
        display: flex;
        align-items: center;
        gap: 4px;
      }
      .jump {
        display: flex;
        flex: 1;
        align-items: center;
        gap: 10px;
        min-width: 0;
        min-height: var(--touch);
        padding: 0;
        border: 0;
        background: none;
        color: var(--text);
        font: inherit;
        font-weight: 600;
        text-align: left;
        cursor: pointer;
        overflow-wrap: anywhere;
      }
      .jump:hover {
        text-decoration: underline;
      }
      .swatch {
        width: 24px;
        height: 24px;
        flex: none;
        border-radius: 4px;
      }
      dl {
        display: grid;
        grid-template-columns: 1fr auto;
        gap: 2px 12px;
      }
      dd {
        text-align: right;
        font-variant-numeric: tabular-nums;
        font-weight: 550;
      }
      .sparkline {
        display: block;
        width: 100%;
        height: 34px;
        border-bottom: 1px solid var(--line-strong);
        cursor: pointer;
      }
      summary {
        display: flex;
        align-items: center;
        gap: 6px;
        min-height: var(--touch);
        cursor: pointer;
      }
      .region {
        justify-content: space-between;
        width: 100%;
        padding: 0 10px;
        font-weight: 400;
      }
      .region[aria-current="true"] {
        border-color: var(--accent);
      }
      .decide {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 8px;
      }
    `,
  ];

  @property({ attribute: false }) finding!: Finding;
  /** Connected regions of it; they follow its review. */
  @property({ attribute: false }) parts: readonly Finding[] = [];
  @property() currentId = "";
  @property({ attribute: false }) areas: readonly AreaPoint[] = [];
  @property({ type: Number }) sliceCount = 0;
  @property({ type: Number }) sliceIndex = -1;
  @property({ type: Number }) pattern = 0;
  @property({ type: Boolean, reflect: true }) current = false;
  @property({ type: Boolean }) isHidden = false;
  @property({ type: Boolean }) canReview = false;
  /** The decision that is being saved; what is shown is what will be if it is. */
  @property() pending: ReviewState | "" = "";
  @property({ attribute: false }) outlineError: unknown = null;
  @property({ type: Boolean }) isOutlineLoading = false;
  @state() private isRejecting = false;

  #say(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  #review(decision: ReviewRequest["decision"], reason = ""): void {
    this.isRejecting = false;
    if (!this.pending) this.#say("finding-review", { finding: this.finding, decision, reason });
  }

  /** The same colour and hatch as on the image. */
  #renderSwatch() {
    const { color, review } = this.finding;
    const kind = this.pattern % 4;
    const dash = review.state === "accepted" ? nothing : "4 3";
    return html`<svg class="swatch" viewBox="0 0 24 24" aria-hidden="true">
      ${svg`<rect x="2" y="2" width="20" height="20" rx="3" fill=${color} fill-opacity="0.25" stroke=${color}
        stroke-width="2" stroke-dasharray=${dash}></rect>
        ${kind === 1 || kind === 3 ? svg`<path d="M4 12 12 4M6 20 20 6M12 20l8-8" stroke=${color} stroke-width="1.5"></path>` : nothing}
        ${kind === 2 || kind === 3 ? svg`<path d="M4 12l8 8M4 6l14 14M12 4l8 8" stroke=${color} stroke-width="1.5"></path>` : nothing}`}
    </svg>`;
  }

  #renderReview(state: ReviewState) {
    const { review } = this.finding;
    const who = [review.by, moment(review.at)].filter(Boolean).join(", ");
    return html`<div class="row">
      ${reviewChip(state)}
      ${
        this.pending
          ? html`<span class="muted small" role="status">${icon("wheel", "small turning")} Saving…</span>`
          : html`<span class="muted small">${state === "unreviewed" ? "" : who}</span>`
      }
    </div>
    ${!this.pending && state === "rejected" && review.reason ? html`<p class="small">Reason: ${review.reason}</p>` : nothing}`;
  }

  #renderDecide(state: ReviewState) {
    if (!this.canReview || this.isRejecting) return nothing;
    const isSaving = this.pending !== "";
    if (state !== "unreviewed")
      return html`<div class="actions">
        <button class="button quiet" data-testid="finding-reopen" ?disabled=${isSaving} @click=${() => this.#review("reopen")}>
          ${icon("reset")}Undo, review again
        </button>
      </div>`;
    return html`<div class="decide">
      <button class="button" data-testid="finding-accept" ?disabled=${isSaving} @click=${() => this.#review("accept")}>
        ${icon("accept")}Accept
      </button>
      <button class="button" data-testid="finding-reject" ?disabled=${isSaving} @click=${() => (this.isRejecting = true)}>
        ${icon("cancel")}Reject
      </button>
    </div>`;
  }

  #renderParts() {
    if (this.parts.length === 0) return nothing;
    const isInside = this.parts.some(({ id }) => id === this.currentId);
    return html`<details data-testid="finding-parts" ?open=${isInside}>
      <summary class="muted small">${icon("layers", "small")}${count(this.parts.length, "region")}${icon("down", "small")}</summary>
      <ul>
        ${this.parts.map((part, at) => {
          const [size] = part.measurements;
          return html`<li>
            <button
              class="button quiet region"
              aria-current=${part.id === this.currentId}
              data-testid="finding-part"
              @click=${() => this.#say("finding-jump", { finding: part })}
            >
              <span>${part.label || `Region ${at + 1}`}</span>
              ${size ? html`<span class="number">${quantity(size.value)} ${size.unit_display || size.unit}</span>` : nothing}
              ${part.review.state === "rejected" ? reviewChip("rejected") : nothing}
            </button>
          </li>`;
        })}
      </ul>
    </details>`;
  }

  #renderOutline() {
    if (this.isOutlineLoading) return html`<p class="muted small" role="status">Loading the outline…</p>`;
    if (!this.outlineError) return nothing;
    return html`<div class="message bad small" role="alert">
      ${icon("alert")}<span>The outline could not be loaded: ${asProblem(this.outlineError).message}</span>
      <button class="button" @click=${() => this.#say("outline-retry", this.finding)}>Retry</button>
    </div>`;
  }

  /** Anywhere on the row that is not a control of its own goes to the finding. */
  #click(event: MouseEvent): void {
    const own = "button, summary, select, textarea, label, gantry-review-form, .sparkline";
    const isOnControl = event.composedPath().some((at) => at instanceof Element && at.matches(own));
    if (!isOnControl) this.#say("finding-jump", { finding: this.finding });
  }

  #renderHead() {
    const { finding, isHidden } = this;
    const isRejected = (this.pending || finding.review.state) === "rejected";
    return html`<div class="head">
      <button class="jump" data-testid="finding-jump" @click=${() => this.#say("finding-jump", { finding })}>
        ${this.#renderSwatch()}${finding.label}
      </button>
      ${
        isRejected
          ? nothing
          : html`<button
              class="button quiet square"
              aria-pressed=${isHidden}
              aria-label="Hide outline of ${finding.label}"
              data-testid="finding-eye"
              @click=${() => this.#say("finding-toggle", finding.id)}
            >
              ${icon(isHidden ? "eyeOff" : "eye")}
            </button>`
      }
    </div>`;
  }

  override render() {
    const { finding } = this;
    const state = this.pending || finding.review.state;
    const go = (index: number): void => this.#say("finding-jump", { finding, index });
    return html`<div class="row-body" data-testid="finding-row" data-state=${finding.review.state} @click=${this.#click}>
      ${this.#renderHead()}
      ${this.areas.length > 0 ? sparkline(this.areas, this.sliceCount, this.sliceIndex, finding.color, go) : nothing}
      <dl>
        ${finding.measurements.map(
          ({ name, value, unit, unit_display }) =>
            html`<dt class="muted">${name}</dt><dd>${quantity(value)} ${unit_display || unit}</dd>`,
        )}
      </dl>
      ${this.#renderParts()} ${this.#renderOutline()} ${this.#renderReview(state)}
      ${
        this.isRejecting
          ? html`<gantry-review-form
              @reject=${(event: CustomEvent<string>) => this.#review("reject", event.detail)}
              @cancel=${() => (this.isRejecting = false)}
            ></gantry-review-form>`
          : nothing
      }
      ${this.#renderDecide(state)}
    </div>`;
  }
}

import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Analysis, Series } from "../api/types";
import { count, moment } from "../ui/kit/format";
import { icon } from "../ui/kit/icons";
import { runStatus } from "../ui/kit/status";
import { controls } from "../ui/kit/styles";

/** One run of one model: what it is for, what became of it, and the findings inside (slotted). */
@customElement("gantry-result-card")
export class ResultCard extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: block;
        overflow: hidden;
      }
      .panel {
        overflow: hidden;
      }
      .about {
        display: grid;
        gap: 8px;
        padding: 12px;
      }
      .run {
        display: grid;
        gap: 5px;
      }
      .sentence {
        color: var(--text);
      }
      summary {
        display: flex;
        align-items: center;
        gap: 6px;
        min-height: var(--touch);
        padding: 0 12px;
        border-top: 1px solid var(--line);
        cursor: pointer;
      }
      dl {
        display: grid;
        gap: 8px;
        padding: 0 12px 14px;
      }
      dt {
        color: var(--muted);
        font-size: 0.8125rem;
      }
    `,
  ];

  @property({ attribute: false }) analysis!: Analysis;
  @property({ attribute: false }) input: Series | null = null;
  @property({ type: Number }) revision = 1;

  #renderProvenance() {
    const { model, runtime, started_at, finished_at, created_at, findings, outputs } = this.analysis;
    const facts: [string, unknown][] = [
      ["Model", `${model.name} ${model.version}`],
      ["Weights (SHA-256)", html`<span class="code">${model.weights_sha256}</span>`],
      ["Runtime", runtime],
      ["Queued", moment(created_at)],
      ["Started", moment(started_at)],
      ["Finished", moment(finished_at)],
      ["Input series", html`<span class="code">${this.analysis.input_series_instance_uid}</span>`],
      ["Tracking UIDs", findings.map(({ tracking_uid }) => html`<div class="code">${tracking_uid}</div>`)],
      ["Stored as", outputs.map(({ kind }) => kind.toUpperCase()).join(", ")],
    ];
    return html`<details>
      <summary>${icon("info", "small")}Provenance${icon("down", "small")}</summary>
      <dl>
        ${facts.map(([term, value]) =>
          value === "" || (Array.isArray(value) && value.length === 0)
            ? nothing
            : html`<div><dt>${term}</dt><dd>${value}</dd></div>`,
        )}
      </dl>
    </details>`;
  }

  #renderLimits() {
    const { limits } = this.analysis.model;
    if (limits.length === 0) return nothing;
    return html`<details>
      <summary>${icon("alert", "small")}Known limits (${limits.length})${icon("down", "small")}</summary>
      <dl>${limits.map((limit) => html`<dd>${limit}</dd>`)}</dl>
    </details>`;
  }

  override render() {
    const { analysis, input } = this;
    const { model } = analysis;
    const series = input
      ? [input.series_number, input.series_description].filter((part) => part || part === 0).join(": ")
      : "";
    return html`<article class="panel" data-testid="result-card" data-state=${analysis.state}>
      <div class="about">
        <div class="row">
          ${analysis.state === "done" ? html`<span class="chip ai">${icon("spark", "small")}AI suggestion</span>` : nothing}
          <span class="muted small">${moment(analysis.finished_at ?? analysis.created_at)}</span>
        </div>
        <h3>${model.title || model.name} <span class="muted number">${model.version}</span></h3>
        ${analysis.state === "done" ? nothing : runStatus(analysis)}
        ${
          analysis.is_stale
            ? html`<div class="message warn small" data-testid="stale-warning">${icon("alert")}
                <span>Newer images have arrived. This result belongs to revision ${analysis.study_revision} of the study;
                the present one is ${this.revision}.</span></div>`
            : nothing
        }
        ${
          model.is_reference
            ? html`<div class="message warn small">${icon("info")}
                <span>${model.disclaimer || "Reference model for integration, not for clinical use."}</span></div>`
            : nothing
        }
        <p class="small">${model.intended_use}</p>
        <p class="muted small">
          ${series ? html`From series ${series}${input ? html`, ${count(input.number_of_instances, "image")}` : nothing}. ` : nothing}
          Study revision ${analysis.study_revision}.
        </p>
        ${
          analysis.state === "done" && analysis.findings.length === 0
            ? html`<p>The run finished and reports no finding. This does not exclude one.</p>`
            : nothing
        }
      </div>
      <slot></slot>
      ${this.#renderLimits()} ${analysis.state === "not_analysed" ? nothing : this.#renderProvenance()}
    </article>`;
  }
}

import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Study } from "../api/types";
import { age, day, personName, sexWord, timeOfDay } from "./kit/format";
import { icon } from "./kit/icons";
import { phone, sideways } from "./kit/phone";
import { controls } from "./kit/styles";

/** Whose images these are: always on screen, on every width. */
@customElement("gantry-patient-strip")
export class PatientStrip extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: flex;
        align-items: center;
        gap: 4px;
        min-width: 0;
      }
      .who,
      .what {
        display: grid;
        min-width: 0;
        line-height: 1.3;
      }
      .who {
        padding-right: 20px;
      }
      .what {
        padding-left: 20px;
        border-left: 1px solid var(--line);
      }
      h1,
      .what > div:first-child {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      h1 {
        font-size: 1.0625rem;
      }
      .letter {
        display: none;
      }
      @media ${phone} {
        .letter {
          display: inline;
        }
        .word {
          display: none;
        }
        :host {
          align-items: flex-start;
        }
        .lines {
          display: grid;
          min-width: 0;
          font-size: 0.8125rem;
        }
        .who,
        .what {
          padding: 0;
          border: 0;
        }
        h1,
        .what > div:first-child {
          white-space: normal;
          overflow-wrap: anywhere;
        }
        h1 {
          font-size: 0.9375rem;
        }
      }
      @media ${sideways} {
        .what {
          padding-left: 20px;
        }
      }
      @media (min-width: 721px) {
        .lines {
          display: contents;
        }
      }
    `,
  ];

  @property({ attribute: false }) study!: Study;
  @property() back = "";
  /** For teaching: nothing tells whose images these are. */
  @property({ type: Boolean }) isHidden = false;

  #renderHidden() {
    return html`
      <a class="button quiet square" href=${this.back} aria-label="Back to the worklist">${icon("back")}</a>
      <h1 class="visually-hidden">Study, identity hidden</h1>
      <span class="chip warn" data-testid="identity-hidden">${icon("eyeOff", "small")}Identity hidden</span>
      <button class="button quiet" @click=${() => this.dispatchEvent(new CustomEvent("reveal"))}>Show (T)</button>
    `;
  }

  override render() {
    if (this.isHidden) return this.#renderHidden();
    const { patient, study_date, study_time, study_description, accession_number } = this.study;
    const years = age(patient.birth_date, study_date);
    return html`
      <a class="button quiet square" href=${this.back} aria-label="Back to the worklist">${icon("back")}</a>
      <div class="lines">
        <div class="who">
          <h1 data-testid="patient-name">${personName(patient.name)}</h1>
          <div class="small number">
            <span class="muted">ID</span> <span data-testid="patient-id">${patient.patient_id || "not given"}</span>
            <span class="muted">·<span class="word"> born</span></span> ${day(patient.birth_date)}${years ? ` (${years})` : ""}
            <span class="muted">·</span> <span class="word">${sexWord(patient.sex)}</span><span class="letter">${patient.sex || "sex ?"}</span>
          </div>
          ${
            patient.identity_differs
              ? html`<div class="chip warn small" role="alert" data-testid="identity-differs">
                  ${icon("alert", "small")}Check identity: other studies under this ID have another name or birth date
                </div>`
              : nothing
          }
        </div>
        <div class="what">
          <div>${study_description || "Study without description"}</div>
          <div class="small number">
            ${day(study_date)} ${timeOfDay(study_time)}${accession_number ? html` <span class="muted">· Acc.</span> ${accession_number}` : ""}
          </div>
        </div>
      </div>
    `;
  }
}

import { css, html, LitElement, nothing } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import type { WorklistQuery } from "../api/types";
import { icon } from "./kit/icons";
import { runWord } from "./kit/status";
import { controls } from "./kit/styles";
import { countFilters, EMPTY_QUERY } from "./worklist-model";

const MODALITIES = ["CT", "MR", "CR", "DX", "US", "PT", "XA", "MG"];
const RUN_STATES = ["queued", "running", "waiting", "done", "failed", "not_analysed"] as const;
const REVIEW_STATES = { unreviewed: "AI, not reviewed", accepted: "Accepted", rejected: "Rejected" };
const TYPING_MS = 250;

/** Search line and filters; says what it wants by a "query-change" event. */
@customElement("gantry-worklist-filters")
export class WorklistFilters extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        gap: 10px;
      }
      .line {
        display: flex;
        gap: 8px;
      }
      .search {
        position: relative;
        flex: 1;
        max-width: 560px;
      }
      .search .icon {
        position: absolute;
        top: 12px;
        left: 12px;
        color: var(--muted);
        pointer-events: none;
      }
      .search input {
        padding-left: 40px;
        padding-right: 40px;
      }
      .search kbd {
        position: absolute;
        top: 11px;
        right: 10px;
      }
      .more {
        display: grid;
        gap: 14px;
        padding: 16px;
      }
      .fields {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(180px, 1fr));
        gap: 12px;
      }
      legend {
        margin-bottom: 6px;
      }
      .toggle {
        padding: 0 14px;
        border-radius: 999px;
        font-weight: 450;
      }
      .groups {
        display: flex;
        flex-wrap: wrap;
        gap: 14px 32px;
        align-items: end;
      }
      @media (max-width: 720px) {
        kbd {
          display: none;
        }
        .line {
          flex-wrap: wrap;
        }
        .search {
          flex: 1 0 100%;
        }
        .fields {
          grid-template-columns: 1fr 1fr;
        }
      }
    `,
  ];

  @property({ attribute: false }) query: WorklistQuery = EMPTY_QUERY;
  @state() private isOpen = false;
  @query("#text") private textInput!: HTMLInputElement;
  #typing: ReturnType<typeof setTimeout> | undefined;

  focusSearch(): void {
    this.textInput.focus();
    this.textInput.select();
  }

  #emit(part: Partial<WorklistQuery>): void {
    const query = { ...this.query, ...part, page: 1 };
    this.query = query;
    this.dispatchEvent(new CustomEvent("query-change", { detail: query }));
  }

  #typed(key: "text" | "patient" | "accession" | "description", event: Event): void {
    const value = (event.target as HTMLInputElement).value;
    clearTimeout(this.#typing);
    this.query = { ...this.query, [key]: value };
    this.#typing = setTimeout(() => this.#emit({}), TYPING_MS);
  }

  #toggle(key: "modalities" | "analysis_states" | "review_states", value: string): void {
    const present = this.query[key];
    const next = present.includes(value) ? present.filter((other) => other !== value) : [...present, value];
    this.#emit({ [key]: next });
  }

  #renderChoices(
    heading: string,
    key: "modalities" | "analysis_states" | "review_states",
    choices: readonly (readonly [string, string])[],
  ) {
    return html`<fieldset>
      <legend class="label">${heading}</legend>
      <div class="row">
        ${choices.map(([value, word]) => {
          const isOn = this.query[key].includes(value);
          return html`<button
            type="button"
            class="button toggle"
            aria-pressed=${isOn}
            @click=${() => this.#toggle(key, value)}
          >
            ${isOn ? icon("accept", "small") : nothing}${word}
          </button>`;
        })}
      </div>
    </fieldset>`;
  }

  #renderField(key: "patient" | "accession" | "description", word: string) {
    return html`<label class="field"><span>${word}</span>
      <input type="search" autocomplete="off" .value=${this.query[key]} @input=${(event: Event) => this.#typed(key, event)} />
    </label>`;
  }

  #renderDay(key: "date_from" | "date_to", word: string) {
    const changed = (event: Event): void =>
      this.#emit({ [key]: (event.target as HTMLInputElement).value || null });
    return html`<label class="field"><span>${word}</span>
      <input type="date" .value=${this.query[key] ?? ""} @change=${changed} />
    </label>`;
  }

  #renderMore() {
    const { referred_only } = this.query;
    return html`<div class="more panel" id="more">
      <div class="fields">
        ${this.#renderField("patient", "Patient name or ID")} ${this.#renderField("accession", "Accession number")}
        ${this.#renderField("description", "Study description")} ${this.#renderDay("date_from", "Study date from")}
        ${this.#renderDay("date_to", "Study date to")}
      </div>
      <div class="groups">${this.#renderChoices(
        "Modality",
        "modalities",
        MODALITIES.map((modality) => [modality, modality] as const),
      )}
      ${this.#renderChoices(
        "Analysis",
        "analysis_states",
        RUN_STATES.map((state) => [state, runWord(state)] as const),
      )}
      ${this.#renderChoices("Review", "review_states", Object.entries(REVIEW_STATES))}
      <div class="row">
        <button
          type="button"
          class="button toggle"
          aria-pressed=${referred_only}
          @click=${() => this.#emit({ referred_only: !referred_only })}
        >
          ${referred_only ? icon("accept", "small") : nothing}Referred only
        </button>
        <button type="button" class="button quiet" @click=${() => this.#emit({ ...EMPTY_QUERY, text: this.query.text })}>
          Clear filters
        </button>
      </div>
    </div></div>`;
  }

  override render() {
    const active = countFilters(this.query);
    return html`
      <search class="line">
        <label class="search">
          <span class="visually-hidden">Search by patient, accession number or description</span>
          ${icon("search")}
          <input
            id="text" class="input" type="search" autocomplete="off" spellcheck="false" data-testid="search"
            placeholder="Patient, accession or description"
            .value=${this.query.text}
            @input=${(event: Event) => this.#typed("text", event)}
            @keydown=${(event: KeyboardEvent) => event.key === "Escape" && this.textInput.blur()}
          />
          ${this.query.text ? nothing : html`<kbd aria-hidden="true">/</kbd>`}
        </label>
        <button
          type="button"
          class="button"
          aria-expanded=${this.isOpen}
          aria-controls="more"
          data-testid="filters-toggle"
          @click=${() => (this.isOpen = !this.isOpen)}
        >
          ${icon("menu")}Filters${active > 0 ? html` <span class="number">(${active})</span>` : nothing}
        </button>
        <slot></slot>
      </search>
      ${this.isOpen ? this.#renderMore() : nothing}
    `;
  }
}

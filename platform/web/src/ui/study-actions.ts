import { css, html, LitElement, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { may } from "../api/bootstrap";
import {
  completeStudy,
  createReferral,
  deleteReferral,
  listModels,
  listReferrers,
  startAnalysis,
} from "../api/client";
import { asProblem } from "../api/problem";
import type { ModelSummary, Person, Study } from "../api/types";
import "./kit/dialog";
import { day } from "./kit/format";
import { icon } from "./kit/icons";
import { notify } from "./kit/notices";
import { controls } from "./kit/styles";

const REFERRAL_DAYS = 90;

/** What may be done with the study as a whole; only what the role allows is offered. */
@customElement("gantry-study-actions")
export class StudyActions extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(126px, 1fr));
        gap: 8px;
      }
      .button {
        gap: 6px;
        padding: 0 10px;
        font-size: 0.875rem;
      }
      .choice {
        display: flex;
        gap: 12px;
        align-items: flex-start;
        padding: 10px 0;
        border-top: 1px solid var(--line);
      }
      .choice > span {
        flex: 1;
        min-width: 0;
      }
    `,
  ];

  @property({ attribute: false }) study!: Study;
  @state() private open: "analyse" | "refer" | "complete" | "" = "";
  @state() private models: ModelSummary[] | null = null;
  @state() private people: Person[] = [];
  @state() private search = "";
  @state() private chosen = "";
  @state() private until = "";
  @state() private isBusy = false;
  @state() private error: unknown = null;
  #idempotencyKey = "";

  async #openAnalyse(): Promise<void> {
    // One key for this dialog: however often the button is pressed, one run starts.
    this.#idempotencyKey = crypto.randomUUID();
    this.#show("analyse");
    await this.#try(async () => {
      this.models = await listModels();
      this.chosen = this.models[0]?.name ?? "";
    });
  }

  async #openRefer(): Promise<void> {
    const until = new Date(Date.now() + REFERRAL_DAYS * 86_400_000);
    this.until = until.toISOString().slice(0, 10);
    this.#show("refer");
    this.search = "";
    await this.#try(async () => {
      this.people = await listReferrers();
    });
  }

  #show(open: "analyse" | "refer" | "complete"): void {
    this.chosen = "";
    this.error = null;
    this.open = open;
  }

  /** The end of the chosen day, where the person who chooses is. */
  #untilMoment(): string {
    return new Date(`${this.until}T23:59:59`).toISOString();
  }

  async #try(task: () => Promise<void>): Promise<boolean> {
    if (this.isBusy) return false;
    this.isBusy = true;
    this.error = null;
    try {
      await task();
      return true;
    } catch (error) {
      this.error = error;
      return false;
    } finally {
      this.isBusy = false;
    }
  }

  async #act(done: string, task: () => Promise<unknown>, staysOpen = false): Promise<void> {
    const isDone = await this.#try(async () => {
      await task();
    });
    if (!isDone) return;
    if (!staysOpen) this.open = "";
    notify("ok", done);
    this.dispatchEvent(new CustomEvent("study-acted"));
  }

  #renderError() {
    if (!this.error) return nothing;
    const { message, correlationId } = asProblem(this.error);
    return html`<div class="message bad" role="alert">${icon("alert")}
      <div>${message}${correlationId ? html`<div class="muted small">Reference <span class="code">${correlationId}</span></div>` : nothing}</div>
    </div>`;
  }

  #renderDialog(heading: string, body: unknown) {
    return html`<gantry-dialog heading=${heading} @closed=${() => (this.open = "")}>
      <div class="stack">${body} ${this.#renderError()}</div>
    </gantry-dialog>`;
  }

  #renderAnalyse() {
    const { study_instance_uid } = this.study;
    const start = (): Promise<void> =>
      this.#act("Analysis queued", () =>
        startAnalysis(study_instance_uid, this.chosen, this.#idempotencyKey),
      );
    return this.#renderDialog(
      "Analyse now",
      html`
        ${this.models?.length === 0 ? html`<p>No model is deployed for you here.</p>` : nothing}
        <div role="radiogroup" aria-label="Model">
          ${this.models?.map(
            (model) => html`<label class="choice">
              <input type="radio" name="model" .checked=${model.name === this.chosen} @change=${() => (this.chosen = model.name)} />
              <span><strong>${model.title}</strong> <span class="muted">${model.version}</span><br /><span class="muted small">${model.summary}</span></span>
            </label>`,
          )}
        </div>
        <div class="actions">
          <button class="button primary" ?disabled=${this.isBusy || !this.chosen} data-testid="analyse-start" @click=${start}>
            ${icon("play")}Start analysis
          </button>
        </div>
      `,
    );
  }

  #renderComplete() {
    const complete = (): Promise<void> =>
      this.#act("Study marked complete", () => completeStudy(this.study.id));
    return this.#renderDialog(
      "Mark complete",
      html`
        <p>No more images are expected. Analysis starts at once; images that still arrive make a new revision.</p>
        <div class="actions">
          <button class="button primary" ?disabled=${this.isBusy} data-testid="complete-confirm" @click=${complete}>Mark complete</button>
        </div>
      `,
    );
  }

  #renderStanding() {
    const { id, referrals, referral_candidates } = this.study;
    return html`
      ${referrals.map(
        (referral) => html`<div class="choice">
          <span>${referral.person.name}<br /><span class="muted small">${referral.state}${referral.until ? `, until ${day(referral.until)}` : ""}</span></span>
          <button class="button danger" @click=${() => this.#act("Referral withdrawn", () => deleteReferral(id, referral.id), true)}>Withdraw</button>
        </div>`,
      )}
      ${referral_candidates.map(
        ({ person, reason }) => html`<div class="choice">
          <span>${person.name}<br /><span class="muted small">${reason}</span></span>
          <button class="button" @click=${() => this.#act(`Referred to ${person.name}`, () => createReferral(id, person.id, this.#untilMoment()), true)}>
            Refer
          </button>
        </div>`,
      )}
    `;
  }

  #renderRefer() {
    const typed = (event: Event): void => {
      this.search = (event.target as HTMLInputElement).value.trim().toLowerCase();
    };
    const people = this.people.filter(({ name }) => name.toLowerCase().includes(this.search));
    const refer = (): Promise<void> =>
      this.#act("Study referred", () => createReferral(this.study.id, this.chosen, this.#untilMoment()));
    return this.#renderDialog(
      "Refer to…",
      html`
        <p class="muted small">The person sees this study and its accepted results until the day you choose.</p>
        ${this.#renderStanding()}
        <label class="field"><span>Find a referring physician</span>
          <input type="search" autocomplete="off" autofocus data-testid="refer-search" @input=${typed} />
        </label>
        <div role="radiogroup" aria-label="Referring physician">
          ${people.map(
            (person) => html`<label class="choice">
              <input type="radio" name="person" .checked=${person.id === this.chosen} @change=${() => (this.chosen = person.id)} />
              <span>${person.name}</span>
            </label>`,
          )}
        </div>
        <label class="field"><span>Until</span>
          <input type="date" .value=${this.until} @change=${(event: Event) => (this.until = (event.target as HTMLInputElement).value)} />
        </label>
        <div class="actions">
          <button class="button primary" ?disabled=${this.isBusy || !this.chosen || !this.until} data-testid="refer-confirm" @click=${refer}>
            ${icon("refer")}Refer
          </button>
        </div>
      `,
    );
  }

  override render() {
    return html`
      ${may("analysis.start") ? html`<button class="button" data-testid="analyse-now" @click=${this.#openAnalyse}>${icon("play")}Analyse now</button>` : nothing}
      ${
        may("study.complete") && this.study.state === "receiving"
          ? html`<button class="button" data-testid="mark-complete" @click=${() => this.#show("complete")}>${icon("accept")}Mark complete</button>`
          : nothing
      }
      ${may("study.refer") ? html`<button class="button" data-testid="refer-to" @click=${this.#openRefer}>${icon("refer")}Refer to…</button>` : nothing}
      ${this.open === "analyse" ? this.#renderAnalyse() : nothing}
      ${this.open === "complete" ? this.#renderComplete() : nothing}
      ${this.open === "refer" ? this.#renderRefer() : nothing}
    `;
  }
}

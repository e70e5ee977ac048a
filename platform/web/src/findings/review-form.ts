import { css, html, LitElement } from "lit";
import { customElement, state } from "lit/decorators.js";
import { controls } from "../ui/kit/styles";

const REASONS = [
  "Not present in the image",
  "Wrong extent or outline",
  "Wrong structure",
  "Caused by an artefact or implant",
  "Image quality is not sufficient",
  "Not relevant",
  "Other",
];

/** Why a finding is rejected; emits "reject" with the reason, or "cancel". */
@customElement("gantry-review-form")
export class ReviewForm extends LitElement {
  static override styles = [
    controls,
    css`
      form {
        display: grid;
        gap: 10px;
        padding: 12px;
        border: 1px solid var(--line-strong);
        border-radius: var(--radius);
        background: var(--ground);
      }
    `,
  ];

  @state() private choice = "";
  @state() private text = "";

  override firstUpdated(): void {
    this.renderRoot.querySelector("select")?.focus();
    this.scrollIntoView({ block: "nearest" });
  }

  #submit(event: Event): void {
    event.preventDefault();
    const text = this.text.trim();
    const reason = this.choice === "Other" ? text : [this.choice, text].filter(Boolean).join(". ");
    if (reason) this.dispatchEvent(new CustomEvent("reject", { detail: reason }));
  }

  #key(event: KeyboardEvent): void {
    if (event.key === "Escape") this.dispatchEvent(new CustomEvent("cancel"));
  }

  override render() {
    const isOther = this.choice === "Other";
    return html`<form @submit=${this.#submit} @keydown=${this.#key}>
      <label class="field"><span>Reason (required)</span>
        <select
          required
          data-testid="finding-reason"
          @change=${(event: Event) => (this.choice = (event.target as HTMLSelectElement).value)}
        >
          <option value="" disabled selected>Choose a reason</option>
          ${REASONS.map((reason) => html`<option value=${reason}>${reason}</option>`)}
        </select>
      </label>
      <label class="field"><span>${isOther ? "What is wrong (required)" : "Remark (optional)"}</span>
        <textarea
          maxlength="500"
          ?required=${isOther}
          data-testid="finding-reason-text"
          @input=${(event: Event) => (this.text = (event.target as HTMLTextAreaElement).value)}
        ></textarea>
      </label>
      <div class="actions">
        <button type="button" class="button quiet" @click=${() => this.dispatchEvent(new CustomEvent("cancel"))}>Cancel</button>
        <button class="button danger" data-testid="finding-reject-confirm">Reject finding</button>
      </div>
    </form>`;
  }
}

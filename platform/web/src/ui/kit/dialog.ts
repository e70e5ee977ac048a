import { css, html, LitElement } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import { icon } from "./icons";
import { controls } from "./styles";

/** A modal dialog; the browser's own element keeps focus inside and gives it back. */
@customElement("gantry-dialog")
export class Dialog extends LitElement {
  static override styles = [
    controls,
    css`
      dialog {
        width: min(var(--dialog-width, 480px), calc(100vw - 24px));
        max-height: calc(100dvh - 24px);
        padding: 0;
        border: 1px solid var(--line-strong);
        border-radius: var(--radius-large);
        background: var(--surface);
        color: var(--text);
        box-shadow: var(--shadow);
      }
      dialog::backdrop {
        background: rgb(0 0 0 / 65%);
      }
      .head {
        position: sticky;
        top: 0;
        display: flex;
        align-items: center;
        justify-content: space-between;
        gap: 12px;
        padding: 8px 8px 8px 20px;
        border-bottom: 1px solid var(--line);
        background: var(--surface);
      }
      .body {
        padding: 20px;
      }
    `,
  ];

  @property() heading = "";
  @query("dialog") private dialog!: HTMLDialogElement;

  override firstUpdated(): void {
    this.dialog.showModal();
    this.querySelector<HTMLElement>("[autofocus]")?.focus();
  }

  close(): void {
    this.dialog.close();
  }

  override render() {
    return html`
      <dialog
        aria-labelledby="heading"
        @close=${() => this.dispatchEvent(new CustomEvent("closed"))}
      >
        <div class="head">
          <h2 id="heading">${this.heading}</h2>
          <button class="button quiet square" aria-label="Close" @click=${() => this.close()}>
            ${icon("cancel")}
          </button>
        </div>
        <div class="body"><slot></slot></div>
      </dialog>
    `;
  }
}

import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import { POINTERS, SHORTCUTS } from "../viewport/shortcuts";
import "./kit/dialog";
import { controls } from "./kit/styles";

/** Keys and gestures, from the same table as their handlers. */
@customElement("gantry-shortcut-sheet")
export class ShortcutSheet extends LitElement {
  static override styles = [
    controls,
    css`
      gantry-dialog {
        --dialog-width: 720px;
      }
      dl {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(290px, 1fr));
        gap: 0 28px;
        margin-bottom: 20px;
      }
      dl > div {
        display: flex;
        gap: 12px;
        justify-content: space-between;
        align-items: baseline;
        padding: 7px 0;
        border-bottom: 1px solid var(--line);
      }
      dd {
        text-align: right;
      }
      h3 {
        margin-bottom: 6px;
      }
      label {
        display: flex;
        gap: 12px;
        align-items: center;
        min-height: var(--touch);
      }
    `,
  ];

  @property({ type: Boolean }) areKeysOn = true;

  override render() {
    const toggle = (event: Event): void => {
      this.dispatchEvent(
        new CustomEvent("keys-toggle", { detail: (event.target as HTMLInputElement).checked }),
      );
    };
    return html`<gantry-dialog heading="Keys and gestures" @closed=${() => this.dispatchEvent(new CustomEvent("closed"))}>
      <h3>Keys</h3>
      <dl>${SHORTCUTS.map(({ shown, what }) => html`<div><dt><kbd>${shown}</kbd></dt><dd>${what}</dd></div>`)}</dl>
      <h3>Mouse and touch</h3>
      <dl>${POINTERS.map(([shown, what]) => html`<div><dt>${shown}</dt><dd class="muted">${what}</dd></div>`)}</dl>
      <label><input type="checkbox" .checked=${this.areKeysOn} @change=${toggle} />Single-letter keys are on</label>
    </gantry-dialog>`;
  }
}

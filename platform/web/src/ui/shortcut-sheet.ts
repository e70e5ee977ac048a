import { css, html, LitElement } from "lit";
import { customElement, property } from "lit/decorators.js";
import { COMMANDS, GROUPS, type Group, POINTERS } from "./commands";
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

  #renderGroup(group: Group, heading: string) {
    const commands = COMMANDS.filter((command) => command.group === group);
    return html`<h3>${heading}</h3>
      <dl>
        ${commands.map(({ name, shown }) => html`<div><dt><kbd>${shown}</kbd></dt><dd>${name}</dd></div>`)}
      </dl>`;
  }

  override render() {
    const toggle = (event: Event): void => {
      this.dispatchEvent(
        new CustomEvent("keys-toggle", { detail: (event.target as HTMLInputElement).checked }),
      );
    };
    return html`<gantry-dialog heading="Keys and gestures" @closed=${() => this.dispatchEvent(new CustomEvent("closed"))}>
      ${Object.entries(GROUPS).map(([group, heading]) => this.#renderGroup(group as Group, heading))}
      <h3>Mouse and touch</h3>
      <dl>${POINTERS.map(([shown, what]) => html`<div><dt>${shown}</dt><dd class="muted">${what}</dd></div>`)}</dl>
      <label><input type="checkbox" .checked=${this.areKeysOn} @change=${toggle} />Single-letter keys are on</label>
    </gantry-dialog>`;
  }
}

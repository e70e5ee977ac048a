import { css, html, LitElement, nothing } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { type IconName, icon } from "./icons";
import { sideways } from "./phone";
import { controls } from "./styles";

const GAP_PX = 4;
const FOCUSABLE = "button:not([disabled]), select, input, a[href]";

/**
 * A button with a panel below it, in the browser's top layer: nothing cuts it off, Escape and a press
 * elsewhere close it. What is in the panel is the page's; arrow keys go through it.
 */
@customElement("gantry-menu")
export class Menu extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: inline-flex;
        flex: none;
      }
      .button {
        gap: 4px;
        padding: 0 8px;
      }
      .word {
        display: var(--menu-word, inline);
      }
      .button .icon:last-child {
        margin-left: -2px;
      }
      @media ${sideways} {
        .word {
          display: none;
        }
      }
      .panel {
        position: fixed;
        inset: auto;
        margin: 0;
        padding: 10px;
        max-width: calc(100vw - 16px);
        max-height: calc(100dvh - 16px);
        overflow-y: auto;
        border-color: var(--line-strong);
        background: var(--raised);
        color: var(--text);
        box-shadow: var(--shadow);
      }
    `,
  ];

  @property() name = "";
  /** How it is opened by key, for the tooltip. */
  @property() shown = "";
  /** A word on the button beside the icon. */
  @property() word = "";
  @property() icon: IconName = "menu";
  @property() testId = "";
  /** A choice closes it. */
  @property({ type: Boolean }) isBrief = false;
  @state() private isOpen = false;
  @query("button") private button!: HTMLButtonElement;
  @query(".panel") private panel!: HTMLElement;

  open(): void {
    if (this.isOpen) return;
    this.panel.showPopover();
    this.#place();
    const items = this.#items();
    (items.find((item) => item.matches("[aria-pressed=true], [aria-checked=true]")) ?? items[0])?.focus();
  }

  close(): void {
    if (!this.isOpen) return;
    this.panel.hidePopover();
    this.button.focus();
  }

  #toggle(): void {
    if (this.isOpen) this.close();
    else this.open();
  }

  #place(): void {
    const at = this.button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.panel;
    const left = Math.max(8, Math.min(at.left, innerWidth - width - 8));
    const isAbove = at.bottom + GAP_PX + height > innerHeight && at.top > height;
    const top = isAbove ? at.top - GAP_PX - height : Math.min(at.bottom + GAP_PX, innerHeight - height - 8);
    this.panel.style.left = `${left}px`;
    this.panel.style.top = `${Math.max(8, top)}px`;
  }

  #items(): HTMLElement[] {
    const slot = this.shadowRoot?.querySelector("slot");
    const found = (slot?.assignedElements() ?? []).flatMap((element) => [
      ...(element.matches(FOCUSABLE) ? [element] : []),
      ...element.querySelectorAll(FOCUSABLE),
      ...(element.shadowRoot?.querySelectorAll(FOCUSABLE) ?? []),
    ]);
    return found.filter((item): item is HTMLElement => item instanceof HTMLElement && item.checkVisibility());
  }

  #key(event: KeyboardEvent): void {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const target = event.composedPath()[0];
    if (!by || event.defaultPrevented || !(target instanceof HTMLElement)) return;
    if (target.matches("select, input[type=range], input[type=number]")) return;
    event.preventDefault();
    const items = this.#items();
    const next = items[(items.indexOf(target) + by + items.length) % items.length];
    next?.focus();
  }

  #chosen(event: Event): void {
    const isChoice = event
      .composedPath()
      .some((at) => at instanceof Element && at.matches("button:not([aria-disabled=true])"));
    if (this.isBrief && isChoice) this.close();
  }

  #toggled(event: ToggleEvent): void {
    this.isOpen = event.newState === "open";
    this.dispatchEvent(new CustomEvent(this.isOpen ? "opened" : "closed"));
  }

  override render() {
    const label = this.word && !this.name.includes(this.word) ? `${this.name}: ${this.word}` : this.name;
    return html`<button
        class="button quiet"
        aria-haspopup="true"
        aria-expanded=${this.isOpen}
        aria-label=${label}
        title=${this.shown ? `${this.name} (${this.shown})` : this.name}
        data-testid=${this.testId || nothing}
        @pointerdown=${(event: Event) => this.isOpen && event.stopPropagation()}
        @click=${this.#toggle}
      >
        ${icon(this.icon)}${this.word ? html`<span class="word">${this.word}</span>` : nothing}${icon("down", "small")}
      </button>
      <div class="panel" popover="manual" role="group" aria-label=${this.name} @toggle=${this.#toggled} @keydown=${this.#key}>
        <slot @click=${this.#chosen}></slot>
      </div>`;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("pointerdown", this.#outside);
    document.addEventListener("keydown", this.#escape);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("pointerdown", this.#outside);
    document.removeEventListener("keydown", this.#escape);
  }

  #outside = (event: Event): void => {
    if (this.isOpen && !event.composedPath().includes(this)) this.panel.hidePopover();
  };

  #escape = (event: KeyboardEvent): void => {
    if (event.key === "Escape") this.close();
  };
}

import { css, html, LitElement, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { VoiWindow } from "../api/types";
import type { TouchTool } from "../viewport/gestures";
import { isSameWindow } from "../viewport/painter";
import type { Preset } from "../viewport/presets";
import type { ViewerCommands } from "../viewport/shortcuts";
import { type IconName, icon } from "./kit/icons";
import { controls } from "./kit/styles";

/** Every tool as a button with its name and key. */
@customElement("gantry-toolbar")
export class Toolbar extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 4px;
        padding: 4px 8px;
        border-bottom: 1px solid var(--line);
        background: var(--surface);
      }
      .rule {
        align-self: stretch;
        width: 1px;
        margin: 6px 4px;
        background: var(--line);
      }
      .button {
        padding: 0 10px;
      }
      .button.square {
        padding: 0;
      }
      select {
        width: auto;
        max-width: 230px;
      }
      .fade {
        display: flex;
        align-items: center;
        gap: 8px;
      }
      .fade input {
        width: 96px;
      }
      .touch {
        display: none;
      }
      @media (any-pointer: coarse) {
        .touch {
          display: inline-flex;
        }
      }
      @media (max-width: 1100px) {
        .word {
          display: none;
        }
      }
      @media (max-width: 720px) {
        :host {
          flex-wrap: nowrap;
          gap: 2px;
          padding: 2px 4px;
          overflow-x: auto;
        }
        .desktop,
        .rule {
          display: none;
        }
        .button {
          flex: none;
        }
        select {
          width: 104px;
          flex: 1 1 auto;
        }
        .fade input {
          width: 60px;
        }
      }
    `,
  ];

  @property({ attribute: false }) commands!: ViewerCommands;
  @property({ attribute: false }) presets: readonly Preset[] = [];
  @property({ attribute: false }) window: VoiWindow | null = null;
  @property({ type: Boolean }) isInverted = false;
  @property({ type: Boolean }) hasAi = false;
  @property({ type: Boolean }) isAiHidden = false;
  @property({ type: Number }) opacity = 1;
  @property({ type: Boolean }) isMaximised = false;
  @property() touchTool: TouchTool = "scroll";

  #renderButton(name: IconName, word: string, key: string, run: () => void, isPressed?: boolean, extra = "") {
    return html`<button
      class="button quiet square ${extra}"
      title="${word} (${key})"
      aria-label=${word}
      aria-pressed=${isPressed ?? nothing}
      @click=${run}
    >
      ${icon(name)}
    </button>`;
  }

  #renderPresets() {
    const current = this.presets.findIndex((preset) => isSameWindow(preset.window, this.window));
    const choose = (event: Event): void => {
      const chosen = Number((event.target as HTMLSelectElement).value);
      if (chosen > 0) this.commands.usePreset(chosen);
    };
    return html`<label>
      <span class="visually-hidden">Window preset</span>
      <select class="input" data-testid="window-preset" ?disabled=${this.presets.length === 0} .value=${String(current + 1)} @change=${choose}>
        <option value="0" ?selected=${current < 0}>${this.presets.length === 0 ? "Colour" : "Own window"}</option>
        ${this.presets.map(
          (preset, at) =>
            html`<option value=${at + 1} ?selected=${at === current}>${at + 1} ${preset.name}</option>`,
        )}
      </select>
    </label>`;
  }

  #renderAi() {
    if (!this.hasAi) return nothing;
    const fade = (event: Event): void => {
      const value = (event.target as HTMLInputElement).valueAsNumber / 100;
      this.dispatchEvent(new CustomEvent("opacity-change", { detail: value }));
    };
    return html`<span class="rule"></span>
      <button
        class="button"
        data-testid="overlay-toggle"
        title="AI overlay (A, hold for a glance)"
        aria-label="AI overlay"
        aria-pressed=${!this.isAiHidden}
        @click=${() => this.commands.toggleAi()}
      >
        ${icon(this.isAiHidden ? "eyeOff" : "spark")}<span>AI<span class="word"> overlay</span></span>
      </button>
      <label class="fade" title="Overlay opacity ( [ and ] )">
        <span class="visually-hidden">Overlay opacity</span>
        <input
          type="range" min="0" max="100" step="5" data-testid="overlay-opacity"
          .valueAsNumber=${Math.round(this.opacity * 100)} @input=${fade}
        />
      </label>`;
  }

  override render() {
    const isWindowing = this.touchTool === "window";
    const swap = (): void => {
      this.dispatchEvent(new CustomEvent("touch-tool-change", { detail: isWindowing ? "scroll" : "window" }));
    };
    return html`
      ${this.#renderPresets()}
      <button class="button touch" aria-pressed=${isWindowing} data-testid="touch-window" @click=${swap}>
        ${icon("contrast")}<span class="word">Drag sets window</span>
      </button>
      ${this.#renderButton("invert", "Invert", "I", () => this.commands.invert(), this.isInverted)}
      ${this.#renderButton("reset", "Reset view", "Space", () => this.commands.reset())}
      ${this.#renderButton("fit", "Image only", "F", () => this.commands.maximise(), this.isMaximised, "desktop")}
      ${this.#renderAi()}
      <span class="rule"></span>
      ${this.#renderButton("keyboard", "Keys and gestures", "?", () => this.commands.toggleHelp(), undefined, "desktop")}
    `;
  }
}

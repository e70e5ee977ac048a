import { html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import { type Cell, EMPTY, is2d, isPlane } from "../layout/cells";
import { SPEEDS } from "../layout/cine";
import type { HandOffer } from "../layout/hand-links";
import type { Link, Links } from "../layout/layout-store";
import type { VolumeOffer } from "../layout/stream-state";
import type { TouchTool } from "../viewport/gestures";
import type { Slab, Tool, ViewportMode } from "../viewport/modes";
import { type CommandId, commandOf, type ViewerCommands } from "./commands";
import { icon } from "./kit/icons";
import type { Menu } from "./kit/menu";
import "./kit/menu";
import { notify } from "./kit/notices";
import { controls } from "./kit/styles";
import "./layout-picker";
import { toolbarStyles } from "./toolbar-styles";
import { currentChoice, type WindowChoice } from "./window-choices";

/** What the toolbar shows; it holds no state of its own. */
export interface ToolbarState {
  cell: Cell;
  layoutId: string;
  tool: Tool;
  touchTool: TouchTool;
  links: Links;
  handOffers: readonly HandOffer[];
  isCrosshairShown: boolean;
  /** One picture only: nothing to scroll or to play. */
  isSingle: boolean;
  choices: readonly WindowChoice[];
  offer: VolumeOffer;
  volumePresets: readonly string[];
  meshCount: number;
  hasAi: boolean;
  isAiHidden: boolean;
  opacity: number;
  isMaximised: boolean;
  isTextHidden: boolean;
  isPlaying: boolean;
  framesPerSecond: number;
  isPhone: boolean;
}

export const BLANK: ToolbarState = {
  cell: EMPTY,
  layoutId: "1x1",
  tool: "window",
  touchTool: "scroll",
  links: { scroll: true, window: false, zoom: false, lines: true },
  handOffers: [],
  isCrosshairShown: true,
  isSingle: false,
  choices: [],
  offer: { refusal: "", isWaiting: false },
  volumePresets: [],
  meshCount: 0,
  hasAi: false,
  isAiHidden: false,
  opacity: 1,
  isMaximised: false,
  isTextHidden: false,
  isPlaying: false,
  framesPerSecond: 10,
  isPhone: false,
};

const TOOLS: readonly Tool[] = ["window", "pan", "zoom", "scroll", "crosshair", "rotate"];
const MODES: readonly (readonly [ViewportMode, string])[] = [
  ["stack", "Images as acquired"],
  ["axial", "Axial plane"],
  ["coronal", "Coronal plane"],
  ["sagittal", "Sagittal plane"],
  ["volume", "3D"],
];
const MODE_WORDS: Record<ViewportMode, string> = {
  stack: "Images",
  axial: "Axial",
  coronal: "Coronal",
  sagittal: "Sagittal",
  oblique: "Oblique",
  volume: "3D",
};
const SLABS: readonly (readonly [Slab["mode"], string])[] = [
  ["none", "Thin plane"],
  ["mip", "MIP: brightest"],
  ["minip", "MinIP: darkest"],
  ["average", "Average"],
];
const LINKS: readonly Link[] = ["scroll", "window", "zoom", "lines"];
const FACES = ["A", "P", "L", "R", "H", "F"] as const;
const FACE_WORDS = { A: "front", P: "back", L: "left", R: "right", H: "head", F: "feet" } as const;

/** Every tool as a button with its name and key. */
@customElement("gantry-toolbar")
export class Toolbar extends LitElement {
  static override styles = [controls, toolbarStyles];

  @property({ attribute: false }) commands!: ViewerCommands;
  @property({ attribute: false }) state: ToolbarState = BLANK;
  @query("#layout") private layoutMenu!: Menu | null;

  chooseLayout(): void {
    this.layoutMenu?.open();
  }

  #emit(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Why a command does nothing for the active viewport; empty where it works. */
  #refusal(id: CommandId): string {
    const { cell, isSingle, meshCount } = this.state;
    const is3d = cell.mode === "volume";
    const name = commandOf(id).name;
    if (id === "tool-rotate") return is3d ? "" : `${name}: choose a 3D view first.`;
    if ((id === "tool-scroll" || id === "tool-crosshair") && is3d) return `${name}: not in the 3D view.`;
    if (id === "cine" && is3d) return "Cine: not in the 3D view.";
    if ((id === "cine" || id === "tool-scroll") && isSingle) return `${name}: the series has one image.`;
    const isTurn = id === "rotate-left" || id === "rotate-right" || id.startsWith("flip-");
    if (isTurn && isPlane(cell)) return `${name}: a plane keeps its directions.`;
    if (id.startsWith("flip-") && is3d) return `${name}: a body is not mirrored.`;
    const isFlat = ["invert", "interpolation", "actual-size"].includes(id);
    if (isFlat && is3d) return `${name}: not in the 3D view.`;
    if (id === "meshes" && meshCount === 0) return "Findings in 3D: there are none for this series.";
    return "";
  }

  #act(id: CommandId): void {
    const refusal = this.#refusal(id);
    if (refusal) notify("info", refusal);
    else commandOf(id).run(this.commands, "");
  }

  /** A command as a square button, or with its name beside the icon. */
  #button(id: CommandId, options: { isPressed?: boolean; isWide?: boolean; className?: string } = {}) {
    const { name, shown, icon: picture = "info" } = commandOf(id);
    const refusal = this.#refusal(id);
    const { isPressed, isWide = false, className = "" } = options;
    return html`<button
      class="button quiet ${isWide ? "wide" : "square"} ${className}"
      data-command=${id}
      title=${refusal || `${name} (${shown})`}
      aria-label=${name}
      aria-keyshortcuts=${shown}
      aria-pressed=${isPressed ?? nothing}
      aria-disabled=${refusal ? "true" : nothing}
      @click=${() => this.#act(id)}
    >
      ${icon(id === "cine" && this.state.isPlaying ? "pause" : picture)}
      ${isWide ? html`<span class="name">${name}</span><kbd aria-hidden="true">${shown}</kbd>` : nothing}
    </button>`;
  }

  /** A choice in a menu. */
  #choice(word: string, isPressed: boolean, run: () => void, refusal = "", testId = ""): TemplateResult {
    return html`<button
      class="button quiet wide"
      aria-pressed=${isPressed}
      aria-disabled=${refusal ? "true" : nothing}
      title=${refusal || nothing}
      data-testid=${testId || nothing}
      @click=${() => (refusal ? notify("info", refusal) : run())}
    >
      <span class="name">${word}</span>${isPressed ? icon("accept", "small") : nothing}
    </button>`;
  }

  #renderLayout() {
    const { layoutId, offer } = this.state;
    const choose = (event: CustomEvent<string>): void => {
      this.layoutMenu?.close();
      this.#emit("layout-change", event.detail);
    };
    const word = layoutId
      .replace("x", "×")
      .replace("mpr-3d", "MPR + 3D")
      .replace("mpr", "MPR")
      .replace("3d", "3D");
    return html`<gantry-menu
      class="desktop"
      id="layout"
      name="Layout"
      shown=${commandOf("layout").shown}
      icon="grid"
      word=${word}
      testId="layout-menu"
    >
      <gantry-layout-picker .current=${layoutId} .refusal=${offer.refusal} @layout-change=${choose}></gantry-layout-picker>
    </gantry-menu>`;
  }

  #renderMode() {
    const { cell, offer } = this.state;
    return html`<gantry-menu class="mode" .isBrief=${true} name="View as" icon="cube" word=${MODE_WORDS[cell.mode]} testId="mode-menu">
      <div class="list">
        ${MODES.map(([mode, word]) =>
          this.#choice(
            word,
            mode === cell.mode,
            () => this.#emit("mode-change", mode),
            mode === "stack" ? "" : offer.refusal,
            `mode-${mode}`,
          ),
        )}
        ${offer.refusal ? html`<p class="note small">${icon("info", "small")}<span>${offer.refusal}</span></p>` : nothing}
        ${offer.isWaiting ? html`<p class="note small" role="status">${icon("wheel", "small turning")}Preparing MPR and 3D…</p>` : nothing}
      </div>
    </gantry-menu>`;
  }

  #renderPresets() {
    const { choices, cell } = this.state;
    const current = currentChoice(choices, cell);
    const choose = (event: Event): void => {
      const chosen = choices[Number((event.target as HTMLSelectElement).value)];
      if (chosen) this.#emit("window-choice", chosen);
    };
    return html`<label>
      <span class="visually-hidden">Window preset (keys 1 to 9, 0 automatic)</span>
      <select
        class="input" data-testid="window-preset" title="Window preset (1 to 9, 0)"
        ?disabled=${choices.length === 0} .value=${String(current)} @change=${choose}
      >
        <option value="-1" ?selected=${current < 0}>${choices.length === 0 ? "Colour" : "Own window"}</option>
        ${choices.map(
          ({ key, name }, at) =>
            html`<option value=${at} ?selected=${at === current}>${key} ${name}</option>`,
        )}
      </select>
    </label>`;
  }

  #renderPicture() {
    const { cell, isTextHidden } = this.state;
    return html`<gantry-menu name="Picture" icon="more" testId="picture-menu">
      <div class="list">
        ${this.#button("rotate-left", { isWide: true })} ${this.#button("rotate-right", { isWide: true })}
        ${this.#button("flip-horizontal", { isWide: true, isPressed: cell.isFlipped })}
        ${this.#button("flip-vertical", { isWide: true })} ${this.#button("zoom-in", { isWide: true })}
        ${this.#button("zoom-out", { isWide: true })} ${this.#button("fit", { isWide: true })}
        ${this.#button("actual-size", { isWide: true })}
        ${this.#button("interpolation", { isWide: true, isPressed: cell.interpolation === "nearest" })}
        ${this.#button("lossless", { isWide: true, isPressed: cell.quality === "lossless" })}
        ${this.#button("text", { isWide: true, isPressed: isTextHidden })}
        <span class="narrow">${this.#button("help", { isWide: true })}</span>
      </div>
    </gantry-menu>`;
  }

  #renderCine() {
    const { isPlaying, framesPerSecond } = this.state;
    const change = (event: Event): void =>
      this.#emit("speed-change", Number((event.target as HTMLSelectElement).value));
    const speeds = [...new Set([...SPEEDS, framesPerSecond])].sort((one, other) => one - other);
    return html`<span class="pair">
      ${this.#button("cine", { isPressed: isPlaying })}
      <label>
        <span class="visually-hidden">Images a second</span>
        <select class="input speed" data-testid="cine-speed" title="Images a second ( , and . )" @change=${change}>
          ${speeds.map((speed) => html`<option value=${speed} .selected=${speed === framesPerSecond}>${speed}/s</option>`)}
        </select>
      </label>
    </span>`;
  }

  #renderLinks() {
    const { links, isCrosshairShown, handOffers } = this.state;
    const line = (id: CommandId, isOn: boolean) => {
      const { name, shown } = commandOf(id);
      return html`<label class="check">
        <input type="checkbox" data-command=${id} .checked=${isOn} @change=${() => this.#act(id)} />
        <span class="name">${name}</span><kbd aria-hidden="true">${shown}</kbd>
      </label>`;
    };
    return html`<gantry-menu class="desktop" name="Links between the viewports" icon="link" testId="links-menu">
      <div class="list">
        ${LINKS.map((link) => line(`link-${link}`, links[link]))} ${line("crosshair", isCrosshairShown)}
        <p class="note small">${icon("info", "small")}<span>Positions are linked within one frame of reference only${
          handOffers.length > 0 ? ". Of another, you can say that it shows the same place now" : ""
        }.</span></p>
        ${handOffers.map(({ at, name, isLinked, refusal }) =>
          this.#choice(
            `Same place as viewport ${at + 1}: ${name}`,
            isLinked,
            () => this.#emit("hand-link", at),
            isLinked ? "" : refusal,
            `hand-link-${at}`,
          ),
        )}
      </div>
    </gantry-menu>`;
  }

  #renderSlab() {
    const { slab } = this.state.cell;
    const set = (change: Partial<Slab>): void => this.#emit("cell-change", { slab: { ...slab, ...change } });
    const choose = (mode: Slab["mode"]): void =>
      set({ mode, mm: mode === "none" ? 0 : slab.mm > 0 ? slab.mm : 10 });
    const resize = (event: Event): void => {
      const mm = (event.target as HTMLInputElement).valueAsNumber;
      set({ mm, mode: slab.mode === "none" ? "mip" : slab.mode });
    };
    const word =
      slab.mode === "none"
        ? "Thin"
        : `${slab.mode === "average" ? "Avg" : slab.mode === "mip" ? "MIP" : "MinIP"} ${slab.mm} mm`;
    return html`<gantry-menu name="Slab" icon="slab" word=${word} testId="slab-menu">
      <div class="list">
        ${SLABS.map(([mode, name]) => this.#choice(name, mode === slab.mode, () => choose(mode), "", `slab-${mode}`))}
        <label class="field">
          <span>Thickness: ${slab.mm} mm</span>
          <input type="range" min="1" max="100" step="1" .valueAsNumber=${Math.max(1, slab.mm)} @input=${resize} />
        </label>
      </div>
    </gantry-menu>`;
  }

  #renderVolume() {
    const { cell, volumePresets, meshCount } = this.state;
    const current = cell.preset || volumePresets[0];
    const choose = (event: Event): void =>
      this.#emit("cell-change", {
        preset: (event.target as HTMLSelectElement).value,
        presetWindow: { shift: 0, scale: 1 },
      });
    return html`<label>
        <span class="visually-hidden">How tissue looks in 3D</span>
        <select class="input" data-testid="volume-preset" ?disabled=${volumePresets.length === 0} @change=${choose}>
          ${volumePresets.length === 0 ? html`<option>3D</option>` : nothing}
          ${volumePresets.map(
            (name) =>
              html`<option value=${name} .selected=${name === current}>${name.replaceAll("-", " ")}</option>`,
          )}
        </select>
      </label>
      ${this.#button("crop", { isPressed: cell.isCropping })}
      ${meshCount > 0 ? this.#button("meshes", { isPressed: cell.areMeshesShown }) : nothing}
      <gantry-menu .isBrief=${true} name="Look from" icon="eye" testId="face-menu">
        <div class="list">
          ${FACES.map(
            (face) => html`<button class="button quiet wide" @click=${() => this.#emit("look-from", face)}>
              <span class="name">From the ${FACE_WORDS[face]}</span><kbd aria-hidden="true">${face}</kbd>
            </button>`,
          )}
        </div>
      </gantry-menu>`;
  }

  #renderAi() {
    const { hasAi, isAiHidden, opacity } = this.state;
    if (!hasAi) return nothing;
    const fade = (event: Event): void =>
      this.#emit("opacity-change", (event.target as HTMLInputElement).valueAsNumber / 100);
    const { name, shown } = commandOf("ai");
    return html`<span class="rule"></span>
      <button
        class="button ai"
        data-testid="overlay-toggle"
        data-command="ai"
        title="${name} (${shown})"
        aria-label="AI overlay"
        aria-pressed=${!isAiHidden}
        @click=${() => this.commands.toggleAi()}
      >
        ${icon(isAiHidden ? "eyeOff" : "spark")}<span>AI</span>
      </button>
      <label class="fade" title="Overlay opacity ( [ and ] )">
        <span class="visually-hidden">Overlay opacity</span>
        <input
          type="range" min="0" max="100" step="5" data-testid="overlay-opacity"
          .valueAsNumber=${Math.round(opacity * 100)} @input=${fade}
        />
      </label>`;
  }

  override render() {
    const { cell, tool, touchTool, isMaximised } = this.state;
    const isWindowing = touchTool === "window";
    return html`<div class="bar" role="toolbar" aria-label="Image tools">
      ${this.#renderLayout()} ${this.#renderMode()}
      <span class="rule desktop"></span>
      <span class="pair desktop" role="group" aria-label="Left mouse button">
        ${TOOLS.map((each) => this.#button(`tool-${each}`, { isPressed: each === tool }))}
      </span>
      <span class="rule desktop"></span>
      ${is2d(cell) ? this.#renderPresets() : this.#renderVolume()} ${isPlane(cell) ? this.#renderSlab() : nothing}
      ${
        is2d(cell)
          ? html`<button
              class="button touch square" aria-pressed=${isWindowing} data-testid="touch-window"
              aria-label="Drag sets window" title="Drag sets the window"
              @click=${() => this.#emit("touch-tool-change", isWindowing ? "scroll" : "window")}
            >
              ${icon("contrast")}
            </button>`
          : nothing
      }
      ${is2d(cell) ? this.#button("invert", { isPressed: cell.isInverted }) : nothing} ${this.#button("reset")}
      ${this.#renderPicture()}
      <span class="rule"></span>
      ${this.#renderCine()} ${this.#renderLinks()} ${this.#renderAi()}
      <span class="rule desktop"></span>
      ${this.#button("maximise", { isPressed: isMaximised, className: "desktop" })}
      ${this.#button("help", { className: "desktop" })}
    </div>`;
  }
}

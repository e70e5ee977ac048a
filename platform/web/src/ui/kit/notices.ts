import { css, html, LitElement, nothing } from "lit";
import { customElement, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { asProblem } from "../../api/problem";
import { type IconName, icon } from "./icons";
import { controls } from "./styles";

export type Tone = "ok" | "info" | "warn" | "bad";

interface Notice {
  id: number;
  tone: Tone;
  title: string;
  text: string;
  correlationId: string;
}

const ICONS: Record<Tone, IconName> = { ok: "done", info: "info", warn: "alert", bad: "alert" };
const STAY_MS = 6000;

/** Short news at the edge of the page. Bad news stays until it is dismissed. */
@customElement("gantry-notices")
export class Notices extends LitElement {
  static override styles = [
    controls,
    css`
      /* Over the picture's lower middle: never over the tags and letters that say what is shown and
         what may not be trusted, nor over a control. */
      :host {
        position: fixed;
        z-index: 40;
        bottom: 64px;
        left: 50%;
        display: grid;
        gap: 8px;
        width: min(420px, calc(100vw - 24px));
        translate: -50% 0;
        pointer-events: none;
      }
      @media (max-width: 720px) {
        :host {
          bottom: 120px;
        }
      }
      .message {
        pointer-events: auto;
        background: var(--raised);
        box-shadow: var(--shadow);
      }
      .body {
        flex: 1;
        min-width: 0;
        overflow-wrap: anywhere;
      }
      .button {
        margin: -10px -12px -10px 0;
      }
    `,
  ];

  @state() private notices: Notice[] = [];
  #next = 1;

  add(tone: Tone, title: string, text = "", correlationId = ""): void {
    const isShown = this.notices.some((notice) => notice.title === title && notice.text === text);
    if (isShown) return;
    const id = this.#next++;
    this.notices = [...this.notices.slice(-3), { id, tone, title, text, correlationId }];
    if (tone === "ok" || tone === "info") setTimeout(() => this.#remove(id), STAY_MS);
  }

  #remove(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  override render() {
    return repeat(
      this.notices,
      (notice) => notice.id,
      (notice) => html`
        <div class="message ${notice.tone}" role=${notice.tone === "bad" ? "alert" : "status"}>
          ${icon(ICONS[notice.tone])}
          <div class="body">
            <strong>${notice.title}</strong>
            ${notice.text ? html`<div>${notice.text}</div>` : nothing}
            ${
              notice.correlationId
                ? html`<div class="muted small">Reference <span class="code">${notice.correlationId}</span></div>`
                : nothing
            }
          </div>
          <button class="button quiet square" aria-label="Dismiss" @click=${() => this.#remove(notice.id)}>
            ${icon("cancel")}
          </button>
        </div>
      `,
    );
  }
}

function host(): Notices {
  const present = document.querySelector<Notices>("gantry-notices");
  if (present) return present;
  const made = document.createElement("gantry-notices") as Notices;
  document.body.append(made);
  return made;
}

export function notify(tone: Tone, title: string, text = ""): void {
  host().add(tone, title, text);
}

/** Tell what failed, why, and the number under which the server's log knows it. */
export function notifyProblem(title: string, error: unknown): void {
  const problem = asProblem(error);
  // The signed-out dialog says it already.
  if (problem.status === 401) return;
  host().add("bad", title, problem.message, problem.correlationId);
}

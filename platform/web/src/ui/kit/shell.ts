import { css, html, LitElement, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { bootstrap, refreshBootstrap } from "../../api/bootstrap";
import { SIGNED_OUT } from "../../api/http";
import type { LiveState } from "../../api/live";
import "./dialog";
import { roleWord } from "./format";
import { icon } from "./icons";
import { notify } from "./notices";
import { controls } from "./styles";

const LIVE_WORDS: Partial<Record<LiveState, string>> = {
  reconnecting: "Reconnecting…",
  polling: "Live updates blocked; checking every 5 s",
  refused: "Live updates refused",
  "signed-out": "Signed out",
};

/** What every page has: brand, tenant, connection state, the user's menu, and the end of a session. */
@customElement("gantry-shell")
export class Shell extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        display: grid;
        grid-template-rows: auto auto minmax(0, 1fr);
        min-height: 100dvh;
        background: var(--ground);
      }
      :host([fixed]) {
        height: 100dvh;
      }
      header {
        display: flex;
        align-items: center;
        gap: 12px;
        min-height: 52px;
        padding: 4px 12px;
        border-bottom: 1px solid var(--line);
        background: var(--surface);
      }
      .brand {
        display: inline-flex;
        align-items: center;
        gap: 9px;
        min-height: var(--touch);
        color: var(--text);
        font-weight: 650;
        text-decoration: none;
      }
      .brand .icon {
        width: 24px;
        height: 24px;
        color: var(--accent);
      }
      .tenant {
        padding-left: 12px;
        border-left: 1px solid var(--line);
        color: var(--muted);
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .title {
        flex: 1;
        min-width: 0;
      }
      .live {
        flex: none;
      }
      .banner {
        display: grid;
      }
      .banner .message {
        border-radius: 0;
        border-width: 0 0 1px 4px;
      }
      details {
        position: relative;
        flex: none;
      }
      summary {
        list-style: none;
      }
      summary::-webkit-details-marker {
        display: none;
      }
      .menu {
        position: absolute;
        z-index: 30;
        top: calc(100% + 6px);
        right: 0;
        display: grid;
        gap: 10px;
        width: max-content;
        min-width: 220px;
        max-width: calc(100vw - 24px);
        padding: 14px;
        background: var(--raised);
        box-shadow: var(--shadow);
      }
      .menu .button {
        width: 100%;
      }
      @media (max-width: 720px) {
        header {
          padding: 2px 4px 2px 8px;
        }
        .tenant,
        .user-name,
        .live .words {
          display: none;
        }
      }
    `,
  ];

  @property({ attribute: false }) live: LiveState = "connecting";
  @property({ type: Boolean }) plain = false;
  /** The page itself says that no agreement is in force. */
  @property({ type: Boolean }) isAgreementSaid = false;
  @state() private isOffline = !navigator.onLine;
  @state() private isSignedOut = false;

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener("online", this.#connection);
    window.addEventListener("offline", this.#connection);
    window.addEventListener(SIGNED_OUT, this.#signedOut);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener("online", this.#connection);
    window.removeEventListener("offline", this.#connection);
    window.removeEventListener(SIGNED_OUT, this.#signedOut);
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("live") && this.live === "signed-out") this.isSignedOut = true;
  }

  #connection = (): void => {
    this.isOffline = !navigator.onLine;
  };

  #signedOut = (): void => {
    this.isSignedOut = true;
  };

  async #goOn(): Promise<void> {
    const isBack = await refreshBootstrap().catch(() => false);
    if (!isBack) {
      notify("warn", "Still signed out", "Sign in in the other tab first, then come back here.");
      return;
    }
    this.isSignedOut = false;
    this.dispatchEvent(new CustomEvent("signed-in"));
  }

  #renderLive() {
    const words = LIVE_WORDS[this.live];
    if (!words) return nothing;
    const isBusy = this.live === "reconnecting";
    return html`<span class="chip warn live" role="status" data-testid="live-state" title=${words}>
      ${isBusy ? icon("wheel", "small turning") : icon("alert", "small")}<span class="words">${words}</span>
    </span>`;
  }

  #renderBanner() {
    const { agreement } = bootstrap();
    return html`<div class="banner">
      ${
        this.isOffline
          ? html`<div class="message warn" role="status">
              ${icon("alert")}<span>This device is offline. What you see may be out of date; uploads wait.</span>
            </div>`
          : nothing
      }
      ${
        agreement.in_force || this.isAgreementSaid
          ? nothing
          : html`<div class="message bad" role="status" data-testid="agreement-banner">
              ${icon("shield")}<span>${agreement.sentence}</span>
            </div>`
      }
    </div>`;
  }

  #renderUser() {
    const { user, role, tenant, urls, csrf_token } = bootstrap();
    const name = user.name || user.email;
    return html`<details>
      <summary class="button quiet" aria-label="Account of ${name}">
        ${icon("person")}<span class="user-name">${name}</span>
      </summary>
      <div class="menu panel">
        <div>
          <strong>${name}</strong>
          <div class="muted small">${user.email}</div>
          <div class="muted small">${roleWord(role)} at ${tenant.name}</div>
        </div>
        <a class="button" href=${urls.sessions}>Account and sessions</a>
        <form method="post" action=${urls.logout}>
          <input type="hidden" name="csrfmiddlewaretoken" .value=${csrf_token} />
          <button class="button">Sign out</button>
        </form>
      </div>
    </details>`;
  }

  #renderSignedOut() {
    const next = encodeURIComponent(location.pathname);
    return html`<gantry-dialog heading="Your session has ended" @closed=${() => (this.isSignedOut = false)}>
      <div class="stack">
        <p>Sign in again to go on. What you typed here is kept, and uploads wait for you.</p>
        <div class="actions">
          <button class="button" @click=${this.#goOn}>I have signed in</button>
          <a class="button primary" href="/accounts/login/?next=${next}" target="_blank" rel="noopener">Sign in</a>
        </div>
      </div>
    </gantry-dialog>`;
  }

  override render() {
    const { tenant, urls } = bootstrap();
    return html`
      <header>
        ${
          this.plain
            ? nothing
            : html`<a class="brand" href=${urls.worklist}>
                <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                  <circle cx="10" cy="10" r="7.2"></circle>
                  <circle cx="10" cy="10" r="2.6"></circle>
                  <path d="M1.5 17.500h17"></path>
                </svg>
                Gantry
              </a>
              <span class="tenant">${tenant.name}</span>`
        }
        <div class="title"><slot name="title"></slot></div>
        ${this.#renderLive()} ${this.#renderUser()}
      </header>
      ${this.#renderBanner()}
      <slot></slot>
      ${this.isSignedOut ? this.#renderSignedOut() : nothing}
    `;
  }
}

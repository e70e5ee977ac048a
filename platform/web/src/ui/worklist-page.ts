import { css, html, LitElement, nothing } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { bootstrap, may } from "../api/bootstrap";
import { listQuarantine, searchWorklist } from "../api/client";
import { type LiveConnection, type LiveState, openLive } from "../api/live";
import { asProblem, isAbort } from "../api/problem";
import type { LiveData, QuarantineItem, StudyRow, WorklistQuery } from "../api/types";
import type { UploadElement } from "../upload/upload-element";
import "../upload/upload-element";
import { closedWorklist } from "./closed-worklist";
import { bytes, count, moment } from "./kit/format";
import { icon } from "./kit/icons";
import { notifyProblem } from "./kit/notices";
import "./kit/shell";
import { controls } from "./kit/styles";
import type { WorklistFilters } from "./worklist-filters";
import "./worklist-filters";
import { EMPTY_QUERY, isFiltered, needsRefetch, newIds, patchRow } from "./worklist-model";
import type { WorklistTable } from "./worklist-table";
import "./worklist-table";

const REFETCH_MS = 200;

/** The tenant's studies, live. */
@customElement("gantry-worklist-page")
export class WorklistPage extends LitElement {
  static override styles = [
    controls,
    css`
      main {
        display: grid;
        grid-template-rows: auto minmax(240px, 1fr) auto;
        grid-template-columns: minmax(0, 1fr);
        gap: 12px;
        width: 100%;
        max-width: 1680px;
        margin: 0 auto;
        padding: 14px 16px;
        overflow: auto;
      }
      .list {
        overflow: auto;
      }
      .state {
        display: grid;
        justify-items: center;
        gap: 14px;
        padding: 72px 20px;
        text-align: center;
      }
      .state > .icon {
        width: 48px;
        height: 48px;
        color: var(--line-strong);
      }
      .state > p {
        max-width: 56ch;
      }
      main.closed {
        grid-template-rows: minmax(0, 1fr);
        align-content: center;
      }
      .closed .state {
        align-self: center;
      }
      .drop {
        margin: 20px;
        border: 2px dashed var(--line-strong);
        border-radius: var(--radius-large);
      }
      .dim {
        opacity: 0.55;
      }
      nav {
        display: flex;
        align-items: center;
        justify-content: space-between;
        gap: 12px;
      }
      .spacer {
        flex: 1;
      }
      .skeleton {
        height: 20px;
        margin: 18px 14px;
        border-radius: 4px;
        background: var(--raised);
      }
      .quarantine li {
        padding: 10px 0;
        border-top: 1px solid var(--line);
        overflow-wrap: anywhere;
      }
      @media (max-width: 1100px) {
        .wide {
          display: none;
        }
      }
      @media (max-width: 720px) {
        main {
          grid-template-rows: repeat(3, auto);
          align-content: start;
          padding: 10px 0;
        }
        gantry-worklist-filters,
        nav {
          padding: 0 12px;
        }
        .list {
          overflow: visible;
          border-width: 1px 0;
          border-radius: 0;
        }
        .desktop {
          display: none;
        }
      }
    `,
  ];

  @state() private query: WorklistQuery =
    (history.state as { query?: WorklistQuery } | null)?.query ?? EMPTY_QUERY;
  @state() private rows: StudyRow[] | null = null;
  @state() private total = 0;
  @state() private arrived: ReadonlySet<string> = new Set();
  @state() private isLoading = true;
  @state() private error: unknown = null;
  @state() private live: LiveState = "connecting";
  @state() private quarantine: { count: number; results: QuarantineItem[] } | null = null;
  @query("gantry-worklist-filters") private filters!: WorklistFilters | null;
  @query("gantry-worklist-table") private table!: WorklistTable | null;
  @query("gantry-upload") private upload!: UploadElement | null;
  #live: LiveConnection | null = null;
  #fetching: AbortController | null = null;
  #refetchTimer: ReturnType<typeof setTimeout> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("keydown", this.#key);
    window.addEventListener("pageshow", this.#shown);
    if (!closedWorklist()) void this.#fetch();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("keydown", this.#key);
    window.removeEventListener("pageshow", this.#shown);
    clearTimeout(this.#refetchTimer);
    this.#fetching?.abort();
    this.#live?.close();
    this.#live = null;
  }

  #shown = (event: PageTransitionEvent): void => {
    if (event.persisted && !closedWorklist()) void this.#fetch();
  };

  #key = (event: KeyboardEvent): void => {
    const target = event.composedPath()[0];
    const isTyping = target instanceof HTMLElement && target.matches("input, select, textarea");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") this.filters?.focusSearch();
    else if (event.key === "j" || event.key === "ArrowDown") this.table?.step(1);
    else if (event.key === "k" || event.key === "ArrowUp") this.table?.step(-1);
    else return;
    event.preventDefault();
  };

  /** Quiet: because of news, not because the user asked; the list stays as bright as it was. */
  async #fetch(isQuiet = false): Promise<void> {
    this.#fetching?.abort();
    const fetching = new AbortController();
    this.#fetching = fetching;
    this.isLoading = !isQuiet;
    try {
      const page = await searchWorklist(this.query, fetching.signal);
      this.arrived = newIds(this.rows ?? [], page.results);
      this.rows = page.results;
      this.total = page.count;
      this.error = null;
      this.#live ??= openLive(bootstrap().urls.ws, (live) => {
        this.live = live;
      });
      this.#live.subscribe(page.cursor, {
        onEvent: (event, data) => this.#onEvent(event, data),
        onRefetch: () => this.#refetchSoon(),
      });
    } catch (error) {
      if (isAbort(error)) return;
      // After news the rows on the screen are older, not wrong; after a search they answer another question.
      if (this.rows && isQuiet) notifyProblem("The worklist could not be refreshed", error);
      else this.error = error;
    } finally {
      if (this.#fetching === fetching) this.isLoading = false;
    }
  }

  #onEvent(event: string, data: LiveData): void {
    const rows = this.rows ?? [];
    const isNews = needsRefetch(event, data, rows);
    this.rows = rows.map((row) => patchRow(row, event, data));
    if (isNews) this.#refetchSoon();
  }

  #refetchSoon(): void {
    // Not restarted by further news: progress events would put the refetch off for ever.
    this.#refetchTimer ??= setTimeout(() => {
      this.#refetchTimer = undefined;
      void this.#fetch(true);
    }, REFETCH_MS);
  }

  #search(part: Partial<WorklistQuery>): void {
    this.query = { ...this.query, ...part };
    // Kept in this tab's history, so that Back from a study finds the list as it was; never in the URL.
    history.replaceState({ query: this.query }, "");
    void this.#fetch();
  }

  /** Find the page of a study that was just stored: on the screen, or among the newest. */
  #linkOf = async (studyInstanceUid: string): Promise<string | null> => {
    const find = (rows: readonly StudyRow[]) =>
      rows.find((row) => row.study_instance_uid === studyInstanceUid);
    const row = find(this.rows ?? []) ?? find((await searchWorklist(EMPTY_QUERY)).results);
    return row ? `${bootstrap().urls.worklist}studies/${row.id}/` : null;
  };

  async #showQuarantine(): Promise<void> {
    try {
      this.quarantine = await listQuarantine(1);
    } catch (error) {
      notifyProblem("The quarantine could not be opened", error);
    }
  }

  #renderUploadButtons() {
    return html`<button class="button primary" data-testid="upload-files" @click=${() => this.upload?.chooseFiles()}>
        ${icon("upload")}<span>Upload<span class="desktop"> files</span></span>
      </button>
      <button class="button desktop" aria-label="Upload a folder" title="Upload a folder" @click=${() => this.upload?.chooseFolder()}>
        ${icon("folder")}<span class="wide">Folder</span>
      </button>`;
  }

  #renderEmpty() {
    if (isFiltered(this.query))
      return html`<div class="state" data-testid="worklist-empty">
        ${icon("search")}
        <h2>No study matches</h2>
        <p class="muted">Check the spelling, or search with fewer conditions.</p>
        <button class="button" @click=${() => this.#search(EMPTY_QUERY)}>Show all studies</button>
      </div>`;
    if (!may("study.import"))
      return html`<div class="state" data-testid="worklist-empty">
        ${icon("layers")}
        <h2>No studies yet</h2>
        <p class="muted">Studies that are open to you appear here as they arrive.</p>
      </div>`;
    return html`<div class="state drop" data-testid="worklist-empty">
      ${icon("upload")}
      <h2>Drop a study here</h2>
      <p class="muted">A folder, DICOM files or a ZIP. Analysis starts by itself once the study is complete.</p>
      <div class="row">${this.#renderUploadButtons()}</div>
    </div>`;
  }

  #renderList() {
    const problem = this.error ? asProblem(this.error) : null;
    if (problem)
      return html`<div class="state" role="alert">
        ${icon("alert")}
        <h2>${problem.status === 403 ? "Studies cannot be shown" : "The worklist could not be loaded"}</h2>
        <p class="muted">${problem.message}</p>
        ${problem.correlationId ? html`<p class="muted small">Reference <span class="code">${problem.correlationId}</span></p>` : nothing}
        <button class="button" @click=${() => this.#fetch()}>Try again</button>
      </div>`;
    if (this.rows === null)
      return html`<div role="status" aria-label="Loading studies">
        ${[1, 2, 3, 4, 5, 6].map(() => html`<div class="skeleton"></div>`)}
      </div>`;
    if (this.rows.length === 0) return this.#renderEmpty();
    return html`<gantry-worklist-table
      .rows=${this.rows}
      .arrived=${this.arrived}
      .sort=${this.query}
      .base=${bootstrap().urls.worklist}
      @sort-change=${(event: CustomEvent<Partial<WorklistQuery>>) => this.#search({ ...event.detail, page: 1 })}
    ></gantry-worklist-table>`;
  }

  #renderPaging() {
    const { page, page_size } = this.query;
    const pages = Math.max(1, Math.ceil(this.total / page_size));
    const first = this.total === 0 ? 0 : (page - 1) * page_size + 1;
    const last = Math.min(this.total, page * page_size);
    const resize = (event: Event): void => {
      const size = Number((event.target as HTMLSelectElement).value);
      this.#search({ page: 1, page_size: size as WorklistQuery["page_size"] });
    };
    return html`<nav aria-label="Pages">
      <span class="muted small number" role="status" data-testid="worklist-count">
        ${first} to ${last} of ${count(this.total, "study", "studies")}
      </span>
      <span class="spacer"></span>
      <label class="field desktop">
        <span class="visually-hidden">Studies on a page</span>
        <select @change=${resize}>
          ${[25, 50, 100].map((size) => html`<option value=${size} ?selected=${size === page_size}>${size} a page</option>`)}
        </select>
      </label>
      <button class="button square" aria-label="Previous page" ?disabled=${page <= 1} @click=${() => this.#search({ page: page - 1 })}>
        ${icon("back")}
      </button>
      <span class="small number">${page} / ${pages}</span>
      <button class="button square" aria-label="Next page" ?disabled=${page >= pages} @click=${() => this.#search({ page: page + 1 })}>
        ${icon("next")}
      </button>
    </nav>`;
  }

  #renderQuarantine(quarantine: { count: number; results: QuarantineItem[] }) {
    return html`<gantry-dialog heading="Quarantine" @closed=${() => (this.quarantine = null)}>
      <div class="stack quarantine">
        <p class="muted">
          ${quarantine.count === 0 ? "Nothing was refused." : `${count(quarantine.count, "object")} arrived and could not be taken into a study.`}
        </p>
        <ul>
          ${quarantine.results.map(
            (item) => html`<li>
              <div>${item.sentence}</div>
              <div class="muted small">
                ${item.file_name ? `${item.file_name} · ` : ""}${bytes(item.size_bytes)} · ${moment(item.received_at)}
                · <span class="code">${item.reason_code}</span>
              </div>
            </li>`,
          )}
        </ul>
      </div>
    </gantry-dialog>`;
  }

  override render() {
    const closed = closedWorklist();
    const canImport = may("study.import");
    if (closed)
      return html`<gantry-shell fixed isAgreementSaid .live=${"live" as const} @signed-in=${() => location.reload()}>
        <main class="closed"><h1 class="visually-hidden">Worklist</h1>${closed}</main>
      </gantry-shell>
      ${canImport ? html`<gantry-upload .blocked=${bootstrap().agreement.sentence}></gantry-upload>` : nothing}`;
    return html`
      <gantry-shell fixed .live=${this.live} @signed-in=${this.#signedIn}>
        <main>
          <h1 class="visually-hidden">Worklist</h1>
          <gantry-worklist-filters
            .query=${this.query}
            @query-change=${(event: CustomEvent<WorklistQuery>) => this.#search(event.detail)}
          >
            <span class="spacer"></span>
            ${
              may("quarantine.view")
                ? html`<button class="button desktop" aria-label="Quarantine" title="Quarantine" data-testid="quarantine" @click=${this.#showQuarantine}>
                  ${icon("shield")}<span class="wide">Quarantine</span>
                </button>`
                : nothing
            }
            ${canImport ? this.#renderUploadButtons() : nothing}
          </gantry-worklist-filters>
          <section class="list panel ${this.isLoading && this.rows ? "dim" : ""}" aria-busy=${this.isLoading}>
            ${this.#renderList()}
          </section>
          ${this.#renderPaging()}
        </main>
      </gantry-shell>
      ${
        canImport
          ? html`<gantry-upload
              data-testid="upload-drop"
              .linkOf=${this.#linkOf}
              @uploaded=${() => this.#refetchSoon()}
            ></gantry-upload>`
          : nothing
      }
      ${this.quarantine ? this.#renderQuarantine(this.quarantine) : nothing}
    `;
  }

  #signedIn = (): void => {
    this.#live?.wake();
    this.upload?.resume();
    void this.#fetch();
  };
}

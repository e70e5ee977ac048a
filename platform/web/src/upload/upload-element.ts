import { css, html, LitElement, nothing } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { bootstrap } from "../api/bootstrap";
import "../ui/kit/dialog";
import { bytes, count } from "../ui/kit/format";
import { type IconName, icon } from "../ui/kit/icons";
import { notify } from "../ui/kit/notices";
import { controls } from "../ui/kit/styles";
import { type Gathered, takeDrop, takeList } from "./gather";
import { postBatch } from "./post";
import { sniff } from "./sniff";
import { unzip } from "./unzip";
import { type Phase, type Progress, Uploader } from "./uploader";

const HEADINGS: Record<Phase, { icon: IconName; word: string }> = {
  idle: { icon: "upload", word: "Upload" },
  sending: { icon: "upload", word: "Uploading" },
  waiting: { icon: "wait", word: "Waiting" },
  done: { icon: "done", word: "Upload finished" },
  cancelled: { icon: "cancel", word: "Upload cancelled" },
  refused: { icon: "alert", word: "Upload refused" },
};
const LISTED = 200;

function homeInstitution(): string | null {
  const { institutions } = bootstrap();
  return (institutions.find((one) => one.is_default) ?? institutions[0])?.id ?? null;
}

/** Drop zone over the whole page, file pickers, and the panel that shows how an upload goes. */
@customElement("gantry-upload")
export class UploadElement extends LitElement {
  static override styles = [
    controls,
    css`
      .veil {
        position: fixed;
        z-index: 50;
        inset: 12px;
        display: grid;
        place-content: center;
        justify-items: center;
        gap: 12px;
        border: 3px dashed var(--accent);
        border-radius: 16px;
        background: rgb(10 13 16 / 92%);
        font-size: 1.25rem;
        pointer-events: none;
      }
      .veil .icon {
        width: 56px;
        height: 56px;
        color: var(--accent);
      }
      .progress {
        position: fixed;
        z-index: 20;
        bottom: 16px;
        left: 16px;
        display: grid;
        gap: 10px;
        width: min(420px, calc(100vw - 32px));
        max-height: min(560px, calc(100dvh - 96px));
        padding: 14px 16px;
        overflow: auto;
        border-color: var(--line-strong);
        box-shadow: var(--shadow);
      }
      header {
        display: flex;
        align-items: center;
        gap: 8px;
      }
      header h2 {
        flex: 1;
      }
      header .button {
        margin: -8px -10px -8px 0;
      }
      summary {
        display: flex;
        align-items: center;
        gap: 6px;
        min-height: var(--touch);
        cursor: pointer;
      }
      li {
        padding: 6px 0;
        border-top: 1px solid var(--line);
        overflow-wrap: anywhere;
      }
      .choice {
        display: flex;
        align-items: center;
        gap: 12px;
        min-height: var(--touch);
      }
      @media (max-width: 720px) {
        .progress {
          bottom: 0;
          left: 0;
          width: 100vw;
          border-radius: var(--radius-large) var(--radius-large) 0 0;
        }
        .desktop {
          display: none;
        }
      }
    `,
  ];

  /** Sentence why nothing can be uploaded; empty where it can. */
  @property() blocked = "";
  /** The study that was just stored, for the link; found by the page. */
  @property({ attribute: false }) linkOf: (studyInstanceUid: string) => Promise<string | null> = async () =>
    null;
  @state() private isDragging = false;
  @state() private progress: Progress | null = null;
  @state() private pending: { source: () => AsyncGenerator<Gathered> } | null = null;
  @state() private institutionId: string | null = homeInstitution();
  @state() private link: string | null = null;
  @state() private isSmall = false;
  @query("#files") private filesInput!: HTMLInputElement;
  @query("#folder") private folderInput!: HTMLInputElement;
  #uploader: Uploader | null = null;
  #latest: Progress | null = null;
  #frame = 0;
  #isInstitutionChosen = bootstrap().institutions.length < 2;

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener("dragover", this.#over);
    window.addEventListener("dragleave", this.#leave);
    window.addEventListener("drop", this.#drop);
    window.addEventListener("online", this.#resume);
    window.addEventListener("beforeunload", this.#beforeLeaving);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener("dragover", this.#over);
    window.removeEventListener("dragleave", this.#leave);
    window.removeEventListener("drop", this.#drop);
    window.removeEventListener("online", this.#resume);
    window.removeEventListener("beforeunload", this.#beforeLeaving);
  }

  chooseFiles(): void {
    if (this.#isOpen()) this.filesInput.click();
  }

  chooseFolder(): void {
    if (this.#isOpen()) this.folderInput.click();
  }

  /** The session is back: what waited goes on. */
  resume(): void {
    this.#uploader?.resume();
  }

  #resume = (): void => this.resume();

  #beforeLeaving = (event: BeforeUnloadEvent): void => {
    if (this.#uploader?.isBusy) event.preventDefault();
  };

  #over = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = this.blocked ? "none" : "copy";
    this.isDragging = !this.blocked;
  };

  #leave = (event: DragEvent): void => {
    if (event.relatedTarget === null) this.isDragging = false;
  };

  #drop = (event: DragEvent): void => {
    this.isDragging = false;
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (!this.#isOpen()) return;
    const source = takeDrop(event.dataTransfer);
    this.#offer(() => source);
  };

  #picked(event: Event): void {
    const input = event.target as HTMLInputElement;
    const files = [...(input.files ?? [])];
    // The same folder may be chosen again after a correction.
    input.value = "";
    if (files.length > 0) this.#offer(() => takeList(files));
  }

  #isOpen(): boolean {
    if (this.blocked) notify("warn", "Uploading is not possible", this.blocked);
    return !this.blocked;
  }

  #offer(source: () => AsyncGenerator<Gathered>): void {
    if (this.#isInstitutionChosen) this.#start(source);
    else this.pending = { source };
  }

  #start(source: () => AsyncGenerator<Gathered>): void {
    if (!this.#uploader?.isBusy) {
      this.link = null;
      this.#uploader = new Uploader({
        post: postBatch,
        sniff,
        unzip,
        onChange: (progress) => this.#show(progress),
      });
    }
    void this.#uploader.add(source(), this.institutionId);
  }

  #show(progress: Progress): void {
    const isOver = progress.phase === "done" && this.#latest?.phase !== "done";
    this.#latest = progress;
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.progress = progress;
    });
    if (isOver) void this.#finish(progress);
  }

  async #finish(progress: Progress): Promise<void> {
    this.dispatchEvent(new CustomEvent("uploaded"));
    const [only] = progress.studyInstanceUids;
    if (only && progress.studyInstanceUids.length === 1)
      this.link = await this.linkOf(only).catch(() => null);
  }

  #dismiss(): void {
    this.progress = null;
    this.#uploader = null;
  }

  #renderInstitutions() {
    const choose = (event: Event): void => {
      event.preventDefault();
      const source = this.pending?.source;
      this.pending = null;
      this.#isInstitutionChosen = true;
      if (source) this.#start(source);
    };
    return html`<gantry-dialog heading="Which institution do these images belong to?" @closed=${() => (this.pending = null)}>
      <form class="stack" @submit=${choose}>
        <fieldset>
          <legend class="muted small">Patient numbers are kept apart by institution.</legend>
          ${bootstrap().institutions.map(
            ({ id, name }) => html`<label class="choice">
              <input
                type="radio"
                name="institution"
                ?autofocus=${id === this.institutionId}
                .checked=${id === this.institutionId}
                @change=${() => (this.institutionId = id)}
              />${name}
            </label>`,
          )}
        </fieldset>
        <div class="actions"><button class="button primary" data-testid="upload-institution">Upload</button></div>
      </form>
    </gantry-dialog>`;
  }

  #renderList(heading: string, iconName: IconName, entries: readonly { path: string; reason: string }[]) {
    if (entries.length === 0) return nothing;
    return html`<details ?open=${iconName === "alert"}>
      <summary>${icon(iconName, "small")}${heading}${icon("down", "small")}</summary>
      <ul class="small">
        ${entries.slice(0, LISTED).map(({ path, reason }) => html`<li>${path}<br /><span class="muted">${reason}</span></li>`)}
        ${entries.length > LISTED ? html`<li class="muted">and ${entries.length - LISTED} more</li>` : nothing}
      </ul>
    </details>`;
  }

  #renderActions(progress: Progress) {
    const isBusy = progress.phase === "sending" || progress.phase === "waiting";
    const canRetry = !isBusy && progress.failures.some((failure) => failure.item);
    const uploader = this.#uploader;
    return html`<div class="actions">
      ${
        canRetry
          ? html`<button class="button" data-testid="upload-retry" @click=${() => uploader?.retryFailed()}>
              ${icon("reset")}Retry failed
            </button>`
          : nothing
      }
      ${isBusy ? html`<button class="button" data-testid="upload-cancel" @click=${() => uploader?.cancel()}>Cancel</button>` : nothing}
      ${
        this.link && progress.phase === "done"
          ? html`<a class="button primary" data-testid="upload-open" href=${this.link}>Open study</a>`
          : nothing
      }
    </div>`;
  }

  #renderProgress(progress: Progress) {
    const { icon: iconName, word } = HEADINGS[progress.phase];
    const isBusy = progress.phase === "sending" || progress.phase === "waiting";
    const { filesFound, filesStored, bytesFound, bytesSent } = progress;
    return html`<section class="progress panel" aria-label="Upload" data-testid="upload-panel">
      <header>
        ${icon(iconName)}
        <h2>${word}</h2>
        <button
          class="button quiet square"
          aria-label="Details"
          aria-expanded=${!this.isSmall}
          @click=${() => (this.isSmall = !this.isSmall)}
        >
          ${icon(this.isSmall ? "up" : "down")}
        </button>
        ${
          isBusy
            ? nothing
            : html`<button class="button quiet square" aria-label="Close" @click=${this.#dismiss}>${icon("cancel")}</button>`
        }
      </header>
      ${isBusy ? html`<progress max=${Math.max(1, bytesFound)} .value=${bytesSent} aria-label="Uploaded"></progress>` : nothing}
      <p class="number" role="status" data-testid="upload-summary">
        ${filesStored.toLocaleString("en")} of ${count(filesFound, "file")} stored,
        ${bytes(bytesSent)} of ${bytes(bytesFound)}${progress.isGathering ? html`<span class="muted">, still looking for files…</span>` : nothing}
      </p>
      ${this.isSmall ? nothing : this.#renderDetails(progress)}
    </section>`;
  }

  #renderDetails(progress: Progress) {
    const { failures, skipped } = progress;
    return html`${progress.sentence ? html`<p class="message ${progress.phase === "refused" ? "bad" : "warn"}">${icon("alert")}${progress.sentence}</p>` : nothing}
      ${this.#renderList(`${count(failures.length, "file")} not stored`, "alert", failures)}
      ${this.#renderList(`${count(skipped.length, "file")} skipped`, "info", skipped)}
      ${this.#renderActions(progress)}`;
  }

  override render() {
    return html`
      <input
        id="files" type="file" multiple hidden data-testid="upload-input"
        @change=${this.#picked} aria-label="DICOM files or ZIP"
      />
      <input
        id="folder" type="file" webkitdirectory hidden data-testid="upload-folder-input"
        @change=${this.#picked} aria-label="Folder of DICOM files"
      />
      ${
        this.isDragging
          ? html`<div class="veil">${icon("upload")}<strong>Drop to upload</strong>
              <span class="muted small">Folders, DICOM files or ZIP</span></div>`
          : nothing
      }
      ${this.pending ? this.#renderInstitutions() : nothing}
      ${this.progress && this.progress.phase !== "idle" ? this.#renderProgress(this.progress) : nothing}
    `;
  }
}

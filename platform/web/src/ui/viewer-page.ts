import { html, LitElement, nothing } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { bootstrap, may } from "../api/bootstrap";
import { asProblem } from "../api/problem";
import type { Finding, Series, Study, VoiWindow } from "../api/types";
import type { ReviewRequest } from "../findings/finding-row";
import "../findings/findings-panel";
import { currentFindings, isWhole, OverlayStore } from "../findings/overlay-store";
import { indexOfInstance, slicesOf } from "../transport/stack";
import type { TouchTool } from "../viewport/gestures";
import { firstWindow, isVolume, presetsOf } from "../viewport/presets";
import { listen, type ViewerCommands } from "../viewport/shortcuts";
import type { Viewport } from "../viewport/viewport";
import "../viewport/viewport";
import { objectWord } from "./kit/format";
import { icon } from "./kit/icons";
import { notify } from "./kit/notices";
import "./kit/shell";
import { controls } from "./kit/styles";
import "./patient-strip";
import "./series-rail";
import "./shortcut-sheet";
import "./study-actions";
import { firstSeries, StudyStore } from "./study-store";
import "./toolbar";
import { viewerStyles } from "./viewer-styles";

type Tab = "image" | "series" | "findings";

const KEYS_OFF = "gantry.single-keys-off";
const OPACITY = "gantry.overlay-opacity";

/** One study: pictures, AI outlines over them, findings beside them. */
@customElement("gantry-viewer-page")
export class ViewerPage extends LitElement implements ViewerCommands {
  static override styles = [controls, viewerStyles];

  @state() private seriesUid = "";
  @state() private index = 0;
  @state() private window: VoiWindow | null = null;
  /** What the server chose where the window was left to it. */
  @state() private found: VoiWindow | null = null;
  @state() private isInverted = false;
  @state() private isAiHidden = false;
  @state() private opacity = Number(localStorage.getItem(OPACITY) ?? 1);
  @state() private hiddenIds: ReadonlySet<string> = new Set();
  @state() private currentId = "";
  @state() private isMaximised = false;
  @state() private isHelpOpen = false;
  @state() private touchTool: TouchTool = "scroll";
  @state() private tab: Tab = "image";
  @state() private overlayVersion = 0;
  @query("gantry-viewport") private viewport!: Viewport | null;
  #store = new StudyStore(bootstrap().study_id ?? "", () => this.#studyChanged());
  #overlays = new OverlayStore(() => {
    this.overlayVersion += 1;
  });
  #stopListening: (() => void) | null = null;
  /** The series as it was when its place was last settled. */
  #known: Series | null = null;
  /** Where each series was left, to come back to it. */
  #places = new Map<string, { index: number; window: VoiWindow | null }>();

  override connectedCallback(): void {
    super.connectedCallback();
    this.#stopListening = listen(this, () => localStorage.getItem(KEYS_OFF) === null);
    void this.#store.fetch();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stopListening?.();
    this.#store.close();
  }

  get #series(): Series | null {
    return this.#store.study?.series.find((series) => series.series_instance_uid === this.seriesUid) ?? null;
  }

  get #findings(): Finding[] {
    return currentFindings(this.#store.analyses ?? []);
  }

  /** What is outlined on this series: its findings, and the region that was jumped to. */
  #findingsHere(): Finding[] {
    return this.#findings.filter(
      (finding) =>
        finding.series_instance_uid === this.seriesUid && (isWhole(finding) || finding.id === this.currentId),
    );
  }

  #standing(): Finding[] {
    return this.#findings.filter((finding) => finding.review.state !== "rejected");
  }

  #standingWholes(): Finding[] {
    return this.#standing().filter(isWhole);
  }

  #studyChanged(): void {
    const { study, analyses } = this.#store;
    this.#keepPlace();
    if (study && !this.#series) {
      const first = firstSeries(study, analyses ?? []);
      if (first) this.#openSeries(first);
    }
    if (study) document.title = `${study.study_description || "Study"} | Gantry`;
    this.#overlays.load(this.#findingsHere());
    this.requestUpdate();
  }

  /** Images that arrive before the one looked at push it on; the picture stays, its number changes. */
  #keepPlace(): void {
    const series = this.#series;
    const before = this.#known?.series_instance_uid === series?.series_instance_uid ? this.#known : null;
    this.#known = series;
    if (!before || !series || before === series) return;
    const uid = slicesOf(before)[this.index]?.instance.sop_instance_uid ?? "";
    this.index = Math.max(0, indexOfInstance(series, uid));
  }

  #openSeries(series: Series): void {
    if (!series.is_image || series.instances.length === 0) {
      if (series.is_ai_result) this.tab = "findings";
      const where = series.is_ai_result
        ? "What the AI found in it is listed under the findings."
        : "It is kept with the study and can be retrieved, but is not shown here.";
      notify("info", objectWord(series.modality), where);
      return;
    }
    this.#places.set(this.seriesUid, { index: this.index, window: this.window });
    const place = this.#places.get(series.series_instance_uid);
    this.seriesUid = series.series_instance_uid;
    this.#known = series;
    this.index = place?.index ?? Math.floor((slicesOf(series).length - 1) / 2);
    this.window = place?.window ?? firstWindow(series);
    this.found = null;
    this.tab = "image";
    this.#overlays.load(this.#findingsHere());
  }

  #jump(finding: Finding, sliceIndex?: number): void {
    const series = this.#store.study?.series.find(
      (one) => one.series_instance_uid === finding.series_instance_uid,
    );
    if (!series) return;
    if (series.series_instance_uid !== this.seriesUid) this.#openSeries(series);
    this.currentId = finding.id;
    const key = sliceIndex ?? indexOfInstance(series, finding.key_sop_instance_uid);
    // A model may have looked and found nothing to outline: then there is nowhere to go.
    if (key < 0) return;
    this.index = key;
    this.#overlays.load([finding]);
    this.tab = "image";
  }

  // What the keys and the toolbar command.

  step(by: number): void {
    const last = this.#series ? slicesOf(this.#series).length - 1 : 0;
    this.index = Math.min(last, Math.max(0, this.index + by));
  }

  goToEnd(end: "first" | "last"): void {
    this.step(end === "first" ? -Infinity : Infinity);
  }

  stepSeries(by: 1 | -1): void {
    const pictures =
      this.#store.study?.series.filter((series) => series.is_image && series.instances.length > 0) ?? [];
    const at = pictures.findIndex((series) => series.series_instance_uid === this.seriesUid);
    const next = pictures[at + by];
    if (next) this.#openSeries(next);
  }

  usePreset(number: number): void {
    const preset = this.#series ? presetsOf(this.#series, this.found)[number - 1] : undefined;
    if (preset) this.window = preset.window;
  }

  #foundWindow(found: VoiWindow): void {
    this.found = found;
    if (this.#series && isVolume(this.#series)) this.window ??= found;
  }

  invert(): void {
    this.isInverted = !this.isInverted;
  }

  reset(): void {
    const series = this.#series;
    if (series) this.window = firstWindow(series) ?? (isVolume(series) ? this.found : null);
    this.isInverted = false;
    this.viewport?.fit();
  }

  toggleAi(): void {
    this.isAiHidden = !this.isAiHidden;
  }

  fade(by: number): void {
    this.opacity = Math.min(1, Math.max(0, Math.round((this.opacity + by) * 100) / 100));
    localStorage.setItem(OPACITY, String(this.opacity));
  }

  stepFinding(by: 1 | -1): void {
    const findings = this.#standing();
    const at = findings.findIndex((finding) => finding.id === this.currentId);
    const start = at < 0 && by < 0 ? 0 : at;
    const next = findings[(start + by + findings.length) % Math.max(1, findings.length)];
    if (next) this.#jump(next);
  }

  maximise(): void {
    this.isMaximised = !this.isMaximised;
    this.viewport?.fit();
  }

  toggleHelp(): void {
    this.isHelpOpen = !this.isHelpOpen;
  }

  #toggleFinding(id: string): void {
    const hidden = new Set(this.hiddenIds);
    if (!hidden.delete(id)) hidden.add(id);
    this.hiddenIds = hidden;
  }

  #marks(series: Series, findings: readonly Finding[]): number[] {
    const standing = findings.filter((finding) => finding.review.state !== "rejected");
    const uids = new Set(
      standing.flatMap((finding) => finding.slice_areas.map((slice) => slice.sop_instance_uid)),
    );
    return slicesOf(series).flatMap(({ instance }, at) => (uids.has(instance.sop_instance_uid) ? [at] : []));
  }

  #renderStage() {
    const { study } = this.#store;
    const series = this.#series;
    const here = this.#findingsHere();
    const { dicomweb } = bootstrap().urls;
    if (!series || !study)
      return html`<section class="stage">
        <div class="state muted" data-testid="no-images">${icon("layers")}${study ? this.#whyNoImages(study) : ""}</div>
      </section>`;
    return html`<section class="stage">
      <gantry-toolbar
        .commands=${this}
        .presets=${presetsOf(series, this.found)}
        .window=${this.window}
        .isInverted=${this.isInverted}
        .hasAi=${here.length > 0}
        .isAiHidden=${this.isAiHidden}
        .opacity=${this.opacity}
        .isMaximised=${this.isMaximised}
        .touchTool=${this.touchTool}
        @opacity-change=${(event: CustomEvent<number>) => this.fade(event.detail - this.opacity)}
        @touch-tool-change=${(event: CustomEvent<TouchTool>) => (this.touchTool = event.detail)}
      ></gantry-toolbar>
      <gantry-viewport
        data-testid="viewport"
        .series=${series}
        .studyInstanceUid=${study.study_instance_uid}
        .dicomweb=${dicomweb}
        .index=${this.index}
        .window=${this.window}
        .isInverted=${this.isInverted}
        .overlay=${this.#overlays.itemsFor(here, this.hiddenIds, this.currentId)}
        .opacity=${this.opacity}
        .isAiHidden=${this.isAiHidden}
        .hasUnreviewed=${here.some((finding) => finding.review.state === "unreviewed")}
        .touchTool=${this.touchTool}
        .marks=${this.#marks(series, here)}
        @index-change=${(event: CustomEvent<number>) => (this.index = event.detail)}
        @window-change=${(event: CustomEvent<VoiWindow>) => (this.window = event.detail)}
        @window-found=${(event: CustomEvent<VoiWindow>) => this.#foundWindow(event.detail)}
        @maximise=${() => this.maximise()}
      ></gantry-viewport>
    </section>`;
  }

  #whyNoImages(study: Study): string {
    if (study.state === "receiving") return "No images to show yet.";
    const words = [...new Set(study.series.map(({ modality }) => objectWord(modality).toLowerCase()))];
    return `This study holds no images, only: ${words.join(", ")}.`;
  }

  #renderFindings() {
    const { study, analyses, pending } = this.#store;
    if (!study) return nothing;
    return html`<gantry-findings
      .study=${study}
      .analyses=${analyses}
      .shown=${this.#findingsHere().filter(isWhole)}
      .hiddenIds=${this.hiddenIds}
      .pending=${pending}
      .currentId=${this.currentId}
      .place=${{ seriesInstanceUid: this.seriesUid, index: this.index }}
      .canReview=${may("finding.review")}
      .overlays=${this.#overlays}
      .overlayVersion=${this.overlayVersion}
      @finding-jump=${(event: CustomEvent<{ finding: Finding; index?: number }>) => this.#jump(event.detail.finding, event.detail.index)}
      @finding-toggle=${(event: CustomEvent<string>) => this.#toggleFinding(event.detail)}
      @finding-review=${(event: CustomEvent<ReviewRequest>) => void this.#store.review(event.detail)}
      @outline-retry=${(event: CustomEvent<Finding>) => this.#overlays.retry(event.detail)}
    >
      <gantry-study-actions .study=${study} @study-acted=${() => this.#store.refetchSoon()}></gantry-study-actions>
    </gantry-findings>`;
  }

  #renderTabs() {
    const tabs = {
      image: "Image",
      series: "Series",
      findings: `Findings (${this.#standingWholes().length})`,
    };
    return html`<nav class="tabs" aria-label="Parts of the study">
      ${Object.entries(tabs).map(
        ([
          tab,
          word,
        ]) => html`<button class="button quiet" aria-pressed=${tab === this.tab} @click=${() => (this.tab = tab as Tab)}>
          ${word}
        </button>`,
      )}
    </nav>`;
  }

  #renderBody() {
    const { study, error } = this.#store;
    if (error && !study) {
      const { message, correlationId } = asProblem(error);
      return html`<div class="state" role="alert">
        ${icon("alert")}
        <h2>This study cannot be shown</h2>
        <p class="muted">${message}</p>
        ${correlationId ? html`<p class="muted small">Reference <span class="code">${correlationId}</span></p>` : nothing}
        <div class="row">
          <button class="button" @click=${() => this.#store.fetch()}>Try again</button>
          <a class="button" href=${bootstrap().urls.worklist}>Back to the worklist</a>
        </div>
      </div>`;
    }
    if (!study) return html`<div class="state muted" role="status">Loading the study…</div>`;
    const counts = new Map<string, number>();
    for (const { series_instance_uid } of this.#standingWholes())
      counts.set(series_instance_uid, (counts.get(series_instance_uid) ?? 0) + 1);
    return html`<main class="layout ${this.isMaximised ? "maximised" : ""}" data-tab=${this.tab}>
      <aside class="rail" aria-label="Series">
        <gantry-series-rail
          .series=${study.series}
          .currentUid=${this.seriesUid}
          .findings=${counts}
          @series-change=${(event: CustomEvent<Series>) => this.#openSeries(event.detail)}
        ></gantry-series-rail>
      </aside>
      ${this.#renderStage()}
      <aside class="findings" aria-label="Findings">${this.#renderFindings()}</aside>
      ${this.#renderTabs()}
    </main>`;
  }

  override render() {
    const { study, live } = this.#store;
    const { worklist } = bootstrap().urls;
    const setKeys = (event: CustomEvent<boolean>): void => {
      if (event.detail) localStorage.removeItem(KEYS_OFF);
      else localStorage.setItem(KEYS_OFF, "1");
    };
    return html`
      <gantry-shell fixed .plain=${study !== null} .live=${live} @signed-in=${() => this.#store.wake()}>
        ${study ? html`<gantry-patient-strip slot="title" .study=${study} .back=${worklist}></gantry-patient-strip>` : nothing}
        ${this.#renderBody()}
      </gantry-shell>
      ${
        this.isHelpOpen
          ? html`<gantry-shortcut-sheet
              .areKeysOn=${localStorage.getItem(KEYS_OFF) === null}
              @closed=${() => (this.isHelpOpen = false)}
              @keys-toggle=${setKeys}
            ></gantry-shortcut-sheet>`
          : nothing
      }
    `;
  }
}

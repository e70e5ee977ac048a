import { html, LitElement, nothing } from "lit";
import { customElement, query } from "lit/decorators.js";
import { bootstrap, may } from "../api/bootstrap";
import { SIGNED_OUT } from "../api/http";
import { asProblem } from "../api/problem";
import type { Finding, Series, Study } from "../api/types";
import type { ReviewRequest } from "../findings/finding-row";
import "../findings/findings-panel";
import { isWhole } from "../findings/overlay-store";
import { isRevoked, isSignedOut, streamWord } from "../layout/stream-state";
import { slicesOf } from "../transport/stack";
import type { TouchTool } from "../viewport/gestures";
import type { ViewportMode } from "../viewport/modes";
import { listen } from "./keys";
import { objectWord } from "./kit/format";
import { icon } from "./kit/icons";
import { followPhone } from "./kit/phone";
import "./kit/shell";
import { controls } from "./kit/styles";
import "./patient-strip";
import "./series-rail";
import "./shortcut-sheet";
import "./study-actions";
import type { Toolbar, ToolbarState } from "./toolbar";
import "./toolbar";
import { type Tab, ViewerController, type ViewerPageParts } from "./viewer-controller";
import { viewerStyles } from "./viewer-styles";
import type { ViewportGrid } from "./viewport-grid";
import "./viewport-grid";
import type { WindowChoice } from "./window-choices";

const KEYS_OFF = "gantry.single-keys-off";

/** One study: pictures, AI outlines over them, findings beside them. What it does lies in its controller. */
@customElement("gantry-viewer-page")
export class ViewerPage extends LitElement implements ViewerPageParts {
  static override styles = [controls, viewerStyles];

  @query("gantry-viewport-grid") readonly grid!: ViewportGrid | null;
  @query("gantry-toolbar") private toolbar!: Toolbar | null;
  #viewer = new ViewerController(this);
  #stops: (() => void)[] = [];
  #isEndSaid = false;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#stops = [
      listen(this.#viewer, () => localStorage.getItem(KEYS_OFF) === null),
      followPhone((isPhone) => {
        this.#viewer.isPhone = isPhone;
        this.requestUpdate();
      }),
    ];
    void this.#viewer.study.fetch();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const stop of this.#stops) stop();
    this.#viewer.close();
  }

  chooseLayout(): void {
    this.toolbar?.chooseLayout();
  }

  override updated(): void {
    const { study } = this.#viewer.study;
    const title = this.#viewer.isTextHidden || this.#revoked !== null ? "" : study?.study_description;
    document.title = `${title || "Study"} | Gantry`;
    this.#sayEnd();
  }

  /** The shell's dialog says what to do when the pictures stop because the session ended. */
  #sayEnd(): void {
    const { layout } = this.#viewer;
    const code = this.#viewer.streams.of(layout.series)?.reason?.code ?? "";
    if (isSignedOut(code) && !this.#isEndSaid) window.dispatchEvent(new CustomEvent(SIGNED_OUT));
    this.#isEndSaid = isSignedOut(code);
  }

  get #toolbarState(): ToolbarState {
    const viewer = this.#viewer;
    const { layout, cine } = viewer;
    const { cell, series } = layout;
    return {
      cell,
      layoutId: layout.layout.id,
      tool: layout.toolOf(cell),
      touchTool: viewer.touchTool,
      links: layout.links,
      handOffers: layout.handOffers,
      isCrosshairShown: layout.isCrosshairShown,
      isSingle: series !== null && slicesOf(series).length < 2,
      choices: viewer.streams.choicesOf(series, cell),
      offer: viewer.streams.offerOf(series),
      volumePresets: viewer.streams.volumePresetsOf(series),
      meshCount: viewer.streams.meshesOf(series, viewer.hiddenIds).length,
      hasAi: viewer.findingsOn(cell.seriesUid).length > 0,
      isAiHidden: viewer.isAiHidden,
      opacity: viewer.opacity,
      isMaximised: viewer.isMaximised,
      isTextHidden: viewer.isTextHidden,
      isPlaying: cine.isRunning,
      framesPerSecond: cine.framesPerSecond,
      isPhone: viewer.isPhone,
    };
  }

  #renderToolbar() {
    const viewer = this.#viewer;
    return html`<gantry-toolbar
      .commands=${viewer}
      .state=${this.#toolbarState}
      @layout-change=${(event: CustomEvent<string>) => viewer.setLayout(event.detail)}
      @mode-change=${(event: CustomEvent<ViewportMode>) => viewer.setMode(event.detail)}
      @window-choice=${(event: CustomEvent<WindowChoice>) => viewer.choose(event.detail)}
      @cell-change=${(event: CustomEvent<object>) => viewer.layout.update(event.detail)}
      @speed-change=${(event: CustomEvent<number>) => viewer.cine.setSpeed(event.detail)}
      @hand-link=${(event: CustomEvent<number>) => viewer.layout.toggleHandLink(event.detail)}
      @look-from=${(event: CustomEvent<"A">) => viewer.lookFrom(event.detail)}
      @opacity-change=${(event: CustomEvent<number>) => viewer.fade(event.detail - viewer.opacity)}
      @touch-tool-change=${(event: CustomEvent<TouchTool>) => viewer.setTouchTool(event.detail)}
    ></gantry-toolbar>`;
  }

  #renderStage(study: Study) {
    const viewer = this.#viewer;
    const { layout } = viewer;
    if (!layout.series && layout.pictures.length === 0)
      return html`<section class="stage">
        <div class="state muted" data-testid="no-images">${icon("layers")}${this.#whyNoImages(study)}</div>
      </section>`;
    const revoked = this.#revoked;
    if (revoked !== null) return this.#renderRevoked(revoked);
    return html`<section class="stage" aria-label="Images">
      <gantry-viewport-grid
        .layout=${layout.layout}
        .items=${viewer.cellViews()}
        .handlers=${viewer}
        .active=${layout.active}
        .isSolo=${layout.isMaximised || viewer.isPhone}
        .studyInstanceUid=${study.study_instance_uid}
        .dicomweb=${bootstrap().urls.dicomweb}
        .touchTool=${viewer.touchTool}
        .opacity=${viewer.opacity}
        .isAiHidden=${viewer.isAiHidden}
        .isPhone=${viewer.isPhone}
        .isTextHidden=${viewer.isTextHidden}
      ></gantry-viewport-grid>
      ${this.#renderStream()}
    </section>`;
  }

  /** Why the study is not the reader's to see any more; null while it is. */
  get #revoked(): string | null {
    const connection = this.#viewer.streams.of(this.#viewer.layout.series);
    return connection && isRevoked(connection) ? (connection.reason?.sentence ?? "") : null;
  }

  /** In place of the pictures: they are not the reader's to see any more. */
  #renderRevoked(sentence: string) {
    const next = encodeURIComponent(location.pathname);
    return html`<section class="stage">
      <div class="state" role="alert" data-testid="revoked">
        ${icon("shield")}
        <h2>These images are no longer shown</h2>
        <p class="muted">${sentence}</p>
        <div class="row">
          <a class="button" href="/accounts/login/?next=${next}">Sign in</a>
          <a class="button" href=${bootstrap().urls.worklist}>Back to the worklist</a>
          <button class="button" @click=${() => this.#viewer.wake()}>Try again</button>
        </div>
      </div>
    </section>`;
  }

  /** One line for the whole stage on how the pictures of the active viewport come. */
  #renderStream() {
    const { layout } = this.#viewer;
    const word = streamWord(this.#viewer.streams.of(layout.series));
    if (!word) return nothing;
    return html`<span class="chip stream ${word.tone}" role="status" data-testid="stream-chip">
      ${icon(word.isBusy ? "wheel" : word.tone === "info" ? "info" : "alert", word.isBusy ? "small turning" : "small")}
      <span>${word.sentence}</span>
    </span>`;
  }

  #whyNoImages(study: Study): string {
    if (study.state === "receiving") return "No images to show yet.";
    const words = [...new Set(study.series.map(({ modality }) => objectWord(modality).toLowerCase()))];
    return `This study holds no images, only: ${words.join(", ")}.`;
  }

  #renderFindings(study: Study) {
    const viewer = this.#viewer;
    const { analyses, pending } = viewer.study;
    const { cell } = viewer.layout;
    return html`<gantry-findings
      .study=${study}
      .analyses=${analyses}
      .shown=${viewer.findingsOn(cell.seriesUid).filter(isWhole)}
      .hiddenIds=${viewer.hiddenIds}
      .pending=${pending}
      .currentId=${viewer.currentId}
      .place=${{ seriesInstanceUid: cell.seriesUid, index: cell.index }}
      .canReview=${may("finding.review")}
      .overlays=${viewer.overlays}
      .overlayVersion=${viewer.overlayVersion}
      @finding-jump=${(event: CustomEvent<{ finding: Finding; index?: number }>) => viewer.jump(event.detail.finding, event.detail.index)}
      @finding-toggle=${(event: CustomEvent<string>) => viewer.toggleFinding(event.detail)}
      @finding-review=${(event: CustomEvent<ReviewRequest>) => void viewer.study.review(event.detail)}
      @outline-retry=${(event: CustomEvent<Finding>) => viewer.overlays.retry(event.detail)}
    >
      <gantry-study-actions .study=${study} @study-acted=${() => viewer.study.refetchSoon()}></gantry-study-actions>
    </gantry-findings>`;
  }

  #renderRail(study: Study) {
    const viewer = this.#viewer;
    const counts = new Map<string, number>();
    for (const { series_instance_uid } of viewer.standingWholes)
      counts.set(series_instance_uid, (counts.get(series_instance_uid) ?? 0) + 1);
    const { layout } = viewer;
    return html`<gantry-series-rail
      .series=${study.series}
      .currentUid=${layout.cell.seriesUid}
      .shownUids=${layout.cells.map(({ seriesUid }) => seriesUid)}
      .active=${layout.active}
      .findings=${counts}
      .loaded=${viewer.streams.loaded}
      .canDrag=${!viewer.isPhone}
      @series-change=${(event: CustomEvent<Series>) => viewer.openSeries(event.detail)}
    ></gantry-series-rail>`;
  }

  #renderTabs() {
    const viewer = this.#viewer;
    const tabs: readonly (readonly [Tab, string])[] = [
      ["image", "Image"],
      ["series", "Series"],
      ["findings", `Findings (${viewer.standingWholes.length})`],
    ];
    const choose = (tab: Tab): void => {
      viewer.tab = tab;
      this.requestUpdate();
    };
    return html`<nav class="tabs" aria-label="Parts of the study">
      ${tabs.map(
        ([
          tab,
          word,
        ]) => html`<button class="button quiet" aria-pressed=${tab === viewer.tab} @click=${() => choose(tab)}>
          ${word}
        </button>`,
      )}
    </nav>`;
  }

  #renderBody() {
    const viewer = this.#viewer;
    const { study, error } = viewer.study;
    if (error && !study) {
      const { message, correlationId } = asProblem(error);
      return html`<div class="state" role="alert">
        ${icon("alert")}
        <h2>This study cannot be shown</h2>
        <p class="muted">${message}</p>
        ${correlationId ? html`<p class="muted small">Reference <span class="code">${correlationId}</span></p>` : nothing}
        <div class="row">
          <button class="button" @click=${() => viewer.study.fetch()}>Try again</button>
          <a class="button" href=${bootstrap().urls.worklist}>Back to the worklist</a>
        </div>
      </div>`;
    }
    if (!study) return html`<div class="state muted" role="status">Loading the study…</div>`;
    const isGone = this.#revoked !== null;
    return html`<main class="layout ${viewer.isMaximised ? "maximised" : ""}" data-tab=${viewer.tab}>
      ${viewer.layout.pictures.length > 0 ? this.#renderToolbar() : nothing}
      <aside class="rail" aria-label="Series">${isGone ? nothing : this.#renderRail(study)}</aside>
      ${this.#renderStage(study)}
      <aside class="findings" aria-label="Findings">${isGone ? nothing : this.#renderFindings(study)}</aside>
      ${this.#renderTabs()}
    </main>`;
  }

  #renderHelp() {
    const setKeys = (event: CustomEvent<boolean>): void => {
      if (event.detail) localStorage.removeItem(KEYS_OFF);
      else localStorage.setItem(KEYS_OFF, "1");
    };
    return html`<gantry-shortcut-sheet
      .areKeysOn=${localStorage.getItem(KEYS_OFF) === null}
      @closed=${() => this.#viewer.toggleHelp()}
      @keys-toggle=${setKeys}
    ></gantry-shortcut-sheet>`;
  }

  override render() {
    const viewer = this.#viewer;
    const { study, live } = viewer.study;
    const { worklist } = bootstrap().urls;
    return html`
      <gantry-shell fixed .plain=${study !== null} .live=${live} @signed-in=${() => viewer.wake()}>
        ${
          study
            ? html`<gantry-patient-strip
                slot="title"
                .study=${study}
                .back=${worklist}
                .isHidden=${viewer.isTextHidden || this.#revoked !== null}
                @reveal=${() => viewer.toggleText()}
              ></gantry-patient-strip>`
            : nothing
        }
        ${this.#renderBody()}
      </gantry-shell>
      ${viewer.isHelpOpen ? this.#renderHelp() : nothing}
    `;
  }
}

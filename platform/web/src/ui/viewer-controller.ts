import { bootstrap } from "../api/bootstrap";
import type { Finding, Series, VoiWindow } from "../api/types";
import { currentFindings, isWhole, OverlayStore } from "../findings/overlay-store";
import { isPlane } from "../layout/cells";
import { Cine } from "../layout/cine";
import { LayoutStore, type Link } from "../layout/layout-store";
import type { Direction } from "../layout/layouts";
import { indexOfInstance, slicesOf } from "../transport/stack";
import type { TouchTool } from "../viewport/gestures";
import type { Plane, ShownPlane, Vec3 } from "../viewport/lps";
import type { Crop, Tool, ViewportMode } from "../viewport/modes";
import { cellView } from "./cell-view";
import type { ViewerCommands } from "./commands";
import { objectWord } from "./kit/format";
import { notify } from "./kit/notices";
import { SeriesStreams } from "./series-streams";
import { firstSeries, StudyStore } from "./study-store";
import type { CellHandlers, CellView, ViewDetail, ViewportGrid } from "./viewport-grid";
import type { WindowChoice } from "./window-choices";

export type Tab = "image" | "series" | "findings";

const OPACITY = "gantry.overlay-opacity";

/** What the controller asks of the page: to be drawn again, and its parts. */
export interface ViewerPageParts {
  requestUpdate(): void;
  readonly grid: ViewportGrid | null;
  chooseLayout(): void;
}

/** The state of one study's viewer, and everything that can be done to it. */
export class ViewerController implements ViewerCommands, CellHandlers {
  readonly study: StudyStore;
  readonly layout: LayoutStore;
  readonly overlays: OverlayStore;
  readonly streams: SeriesStreams;
  readonly cine: Cine;
  isAiHidden = false;
  opacity = Number(localStorage.getItem(OPACITY) ?? 1);
  hiddenIds: ReadonlySet<string> = new Set();
  currentId = "";
  /** The panels beside the images are hidden. */
  isMaximised = false;
  isHelpOpen = false;
  isTextHidden = false;
  isPhone = false;
  touchTool: TouchTool = "scroll";
  tab: Tab = "image";
  overlayVersion = 0;
  #page: ViewerPageParts;
  #views: CellView[] = [];

  constructor(page: ViewerPageParts) {
    this.#page = page;
    const id = bootstrap().study_id ?? "";
    const changed = (): void => page.requestUpdate();
    this.study = new StudyStore(id, () => this.#studyChanged());
    this.layout = new LayoutStore(localStorage, changed);
    this.cine = new Cine({
      playable: () => {
        const { series, cell } = this.layout;
        const frameTimeMs = this.streams.of(series)?.welcome?.frame_time_ms ?? null;
        return { seriesUid: cell.seriesUid, frameTimeMs };
      },
      step: () => this.#play(),
      onChange: changed,
    });
    this.streams = new SeriesStreams(id, changed);
    this.study.onPacked = (seriesId) => this.streams.packed(seriesId);
    this.overlays = new OverlayStore(() => {
      this.overlayVersion += 1;
      changed();
    });
    document.addEventListener("visibilitychange", this.#hidden);
  }

  close(): void {
    this.cine.stop();
    this.study.close();
    this.streams.close();
    document.removeEventListener("visibilitychange", this.#hidden);
  }

  /** The session goes on: the reader signed in again. */
  wake(): void {
    this.study.wake();
    this.streams.wake();
  }

  #hidden = (): void => {
    if (document.hidden) this.cine.stop();
  };

  // What is there.

  get findings(): Finding[] {
    return currentFindings(this.study.analyses ?? []);
  }

  get standing(): Finding[] {
    return this.findings.filter((finding) => finding.review.state !== "rejected");
  }

  get standingWholes(): Finding[] {
    return this.standing.filter(isWhole);
  }

  /** What is outlined on a series: its findings, and the region that was jumped to. */
  findingsOn(seriesUid: string): Finding[] {
    return this.findings.filter(
      (finding) =>
        finding.series_instance_uid === seriesUid && (isWhole(finding) || finding.id === this.currentId),
    );
  }

  /** What each cell shows. Lists that say the same stay the same, so that only what changes is drawn again. */
  cellViews(): CellView[] {
    this.#views = this.layout.cells.map((_, at) => cellView(this, at, this.#views[at]));
    return this.#views;
  }

  #studyChanged(): void {
    const { study, analyses } = this.study;
    if (study) {
      this.layout.setSeries(study.series, firstSeries(study, analyses ?? []));
      this.#loadOutlines();
    }
    this.#page.requestUpdate();
  }

  #loadOutlines(): void {
    for (const { seriesUid } of this.layout.cells) this.overlays.load(this.findingsOn(seriesUid));
  }

  // Series and findings.

  openSeries(series: Series, at = this.layout.active): void {
    if (!series.is_image || series.instances.length === 0) {
      if (series.is_ai_result) this.tab = "findings";
      const where = series.is_ai_result
        ? "What the AI found in it is listed under the findings."
        : "It is kept with the study and can be retrieved, but is not shown here.";
      notify("info", objectWord(series.modality), where);
      this.#page.requestUpdate();
      return;
    }
    this.cine.stop();
    this.tab = "image";
    this.layout.open(series, at);
    this.#loadOutlines();
  }

  jump(finding: Finding, sliceIndex?: number): void {
    const series = this.study.study?.series.find(
      (one) => one.series_instance_uid === finding.series_instance_uid,
    );
    if (!series) return;
    this.cine.stop();
    const key = sliceIndex ?? indexOfInstance(series, finding.key_sop_instance_uid);
    this.currentId = finding.id;
    // A model may have looked and found nothing to outline: then there is nowhere to go.
    if (key < 0) this.openSeries(series);
    else this.layout.show(series, key);
    this.overlays.load([finding]);
    this.#loadOutlines();
    this.tab = "image";
    this.#page.requestUpdate();
  }

  toggleFinding(id: string): void {
    const hidden = new Set(this.hiddenIds);
    if (!hidden.delete(id)) hidden.add(id);
    this.#set({ hiddenIds: hidden });
  }

  #set(change: Partial<ViewerController>): void {
    Object.assign(this, change);
    this.#page.requestUpdate();
  }

  // What the viewports report.

  activated(at: number): void {
    if (at !== this.layout.active) this.cine.stop();
    this.layout.activate(at);
  }

  dropped(seriesUid: string, at: number): void {
    const series = this.layout.pictures.find((one) => one.series_instance_uid === seriesUid);
    if (series) this.openSeries(series, at);
  }

  indexChanged(at: number, index: number): void {
    this.cine.stop();
    this.layout.goTo(index, at);
  }

  windowChanged(at: number, window: VoiWindow): void {
    this.layout.setWindow(window, at);
  }

  windowFound(at: number, window: VoiWindow): void {
    this.layout.foundWindow(window, at);
  }

  viewChanged(at: number, { zoom, pan, rotation, isFlipped }: ViewDetail): void {
    const cell = this.layout.cells[at];
    if (cell && cell.mode !== "volume" && (cell.rotation !== rotation || cell.isFlipped !== isFlipped))
      this.layout.update({ rotation, isFlipped }, at);
    // Only the reader's own viewport leads, or two would chase each other.
    if (at !== this.layout.active) return;
    for (const other of this.layout.zoomFollowers(at))
      this.#page.grid?.viewportAt(other)?.setView({ zoom, pan });
  }

  crosshairChanged(at: number, point: Vec3): void {
    this.layout.setCrosshair(point, at);
  }

  planeChanged(at: number, plane: ShownPlane | null): void {
    this.layout.setPlane(at, plane);
  }

  planeTurned(at: number, { center, row, column }: Plane): void {
    this.layout.turnPlane(at, { center, row, column });
  }

  presetWindowChanged(at: number, presetWindow: { shift: number; scale: number }): void {
    this.layout.update({ presetWindow }, at);
  }

  cropChanged(at: number, crop: Crop): void {
    this.layout.update({ crop }, at);
  }

  loadedChanged(seriesUid: string, loaded: number, total: number): void {
    this.streams.fetched(seriesUid, { loaded, total });
    this.#page.requestUpdate();
  }

  maximised(at: number): void {
    this.layout.activate(at);
    this.maximiseCell();
  }

  asImages(at: number): void {
    if (this.layout.layout.isVolume) this.setLayout("1x1");
    else {
      this.layout.activate(at);
      this.layout.setMode("stack");
    }
  }

  // What the toolbar sets.

  setLayout(id: string): void {
    this.cine.stop();
    this.layout.setLayout(id);
    this.#loadOutlines();
  }

  setMode(mode: ViewportMode): void {
    this.cine.stop();
    this.layout.setMode(mode);
  }

  choose({ window, lut }: WindowChoice): void {
    if (lut === null) this.layout.setWindow(window);
    else this.layout.update({ lut, window: null });
  }

  lookFrom(face: "A" | "P" | "L" | "R" | "H" | "F"): void {
    this.#viewport?.resetCamera(face);
  }

  setTouchTool(touchTool: TouchTool): void {
    this.#set({ touchTool });
  }

  // The commands of the table.

  get #viewport() {
    return this.#page.grid?.viewportAt(this.layout.active) ?? null;
  }

  step(by: number): void {
    this.cine.stop();
    this.#step(by);
  }

  #step(by: number): void {
    const { cell } = this.layout;
    if (cell.mode === "stack") this.layout.goTo(cell.index + by);
    else if (isPlane(cell)) this.#viewport?.step(by);
  }

  goToEnd(end: "first" | "last"): void {
    this.step(end === "first" ? -1e6 : 1e6);
  }

  /** One tick of the cine: on, and from the end to the beginning. */
  #play(): void {
    const { cell, series } = this.layout;
    if (!series || cell.mode === "volume") {
      this.cine.stop();
      return;
    }
    if (cell.mode === "stack") {
      this.layout.goTo((cell.index + 1) % slicesOf(series).length);
      return;
    }
    const before = this.layout.crosshairOf(cell);
    this.#step(1);
    if (this.layout.crosshairOf(this.layout.cell) === before) this.#step(-1e6);
  }

  stepSeries(by: 1 | -1): void {
    this.cine.stop();
    this.layout.stepSeries(by);
    this.#loadOutlines();
  }

  moveCell(direction: Direction): void {
    if (this.isPhone) return;
    this.cine.stop();
    this.layout.move(direction);
    this.#page.grid?.focusCell(this.layout.active);
  }

  usePreset(number: number): void {
    const choice = this.streams
      .choicesOf(this.layout.series, this.layout.cell)
      .find(({ key }) => key === String(number));
    if (choice) this.choose(choice);
  }

  invert(): void {
    if (this.layout.cell.mode !== "volume") this.layout.invert();
  }

  rotate(by: 90 | -90): void {
    const { cell } = this.layout;
    if (cell.mode === "volume") this.#viewport?.rotate(by);
    else if (cell.mode === "stack") this.layout.rotate(by);
  }

  flip(axis: "horizontal" | "vertical"): void {
    if (this.layout.cell.mode === "stack") this.layout.flip(axis);
  }

  zoom(factor: number): void {
    this.#viewport?.zoomBy(factor);
  }

  fit(): void {
    this.#viewport?.fit();
  }

  actualSize(): void {
    this.#viewport?.actualSize();
  }

  reset(): void {
    const viewport = this.#viewport;
    this.layout.reset();
    viewport?.fit();
    if (this.layout.cell.mode === "volume") viewport?.resetCamera();
  }

  setTool(tool: Tool): void {
    const is3d = this.layout.cell.mode === "volume";
    const isIdle = is3d ? tool === "scroll" || tool === "crosshair" : tool === "rotate";
    if (!isIdle) this.layout.setTool(tool);
  }

  toggleInterpolation(): void {
    const { interpolation } = this.layout.cell;
    this.layout.update({ interpolation: interpolation === "linear" ? "nearest" : "linear" });
  }

  toggleLossless(): void {
    const { quality } = this.layout.cell;
    this.layout.update({ quality: quality === "auto" ? "lossless" : "auto" });
  }

  toggleCrosshair(): void {
    this.layout.toggleCrosshair();
  }

  toggleCine(): void {
    const { cell, series } = this.layout;
    if (series && slicesOf(series).length > 1 && cell.mode !== "volume") this.cine.toggle();
  }

  changeSpeed(by: 1 | -1): void {
    this.cine.changeSpeed(by);
  }

  toggleLink(link: Link): void {
    this.layout.toggleLink(link);
  }

  toggleCrop(): void {
    const { mode, isCropping } = this.layout.cell;
    if (mode === "volume")
      this.layout.update(isCropping ? { isCropping: false, crop: null } : { isCropping: true });
  }

  toggleMeshes(): void {
    const { mode, areMeshesShown } = this.layout.cell;
    if (mode === "volume") this.layout.update({ areMeshesShown: !areMeshesShown });
  }

  toggleText(): void {
    this.#set({ isTextHidden: !this.isTextHidden });
  }

  toggleAi(): void {
    this.#set({ isAiHidden: !this.isAiHidden });
  }

  fade(by: number): void {
    const opacity = Math.min(1, Math.max(0, Math.round((this.opacity + by) * 100) / 100));
    localStorage.setItem(OPACITY, String(opacity));
    this.#set({ opacity });
  }

  stepFinding(by: 1 | -1): void {
    const findings = this.standing;
    const at = findings.findIndex((finding) => finding.id === this.currentId);
    const start = at < 0 && by < 0 ? 0 : at;
    const next = findings[(start + by + findings.length) % Math.max(1, findings.length)];
    if (next) this.jump(next);
  }

  chooseLayout(): void {
    if (!this.isPhone) this.#page.chooseLayout();
  }

  maximiseCell(): void {
    if (this.isPhone) return;
    if (this.layout.cells.length > 1) this.layout.maximise();
    else this.maximise();
  }

  maximise(): void {
    this.#set({ isMaximised: !this.isMaximised });
  }

  toggleHelp(): void {
    this.#set({ isHelpOpen: !this.isHelpOpen });
  }
}

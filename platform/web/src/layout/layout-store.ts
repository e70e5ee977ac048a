import type { Series, VoiWindow } from "../api/types";
import { slicesOf } from "../transport/stack";
import {
  add,
  dot,
  type Plane,
  type ReferencePlane,
  type ShownPlane,
  scale,
  subtract,
  type Vec3,
} from "../viewport/lps";
import type { Tool, ViewportMode } from "../viewport/modes";
import { isVolume } from "../viewport/presets";
import { planeOf } from "../viewport/slice-plane";
import { type Cell, EMPTY, flipCell, isPlane, openedCell, type Place, resetCell, rotateCell } from "./cells";
import { HandLinks, type HandOffer, type HandOffset } from "./hand-links";
import { type Direction, type Layout, layoutOf, neighbour } from "./layouts";
import { type Found, linkedSlice, middleOf, normalOf, shareFrame, sliceAt } from "./planes";

/** What is done in one cell and followed by the others. */
export interface Links {
  scroll: boolean;
  window: boolean;
  zoom: boolean;
  /** Where the others' planes cut each picture. */
  lines: boolean;
}

export type Link = keyof Links;

/** The part of Storage that is used. */
export interface Memory {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

const LAYOUT = "gantry.layout";
const LINKS = "gantry.links";
const DEFAULT_LINKS: Links = { scroll: true, window: false, zoom: false, lines: true };
/** Colours of the cells' lines, light on black and told apart by more than hue. */
const COLORS = [
  "#7cc4f0",
  "#6fd39b",
  "#f0c25e",
  "#ff9ecb",
  "#c5aefc",
  "#ffb27a",
  "#9fe7e0",
  "#d8e86b",
  "#e8ecef",
];

function readLinks(memory: Memory): Links {
  try {
    const found: unknown = JSON.parse(memory.getItem(LINKS) ?? "{}");
    const kept = typeof found === "object" && found !== null ? (found as Partial<Links>) : {};
    const one = (link: Link): boolean => (typeof kept[link] === "boolean" ? kept[link] : DEFAULT_LINKS[link]);
    return { scroll: one("scroll"), window: one("window"), zoom: one("zoom"), lines: one("lines") };
  } catch {
    return DEFAULT_LINKS;
  }
}

/**
 * What is shown where on the stage, and how the cells follow each other. Positions are shared within
 * one frame of reference only. The layout and the links are remembered in the browser; nothing of
 * the study is.
 */
export class LayoutStore {
  layout: Layout;
  cells: readonly Cell[];
  active = 0;
  /** The active cell alone fills the stage. */
  isMaximised = false;
  links: Links;
  /** What the left button does in pictures, and in the volume. */
  flatTool: Tool = "window";
  volumeTool: Tool = "rotate";
  isCrosshairShown = true;
  #hand = new HandLinks();
  #series: readonly Series[] = [];
  #planes = new Map<number, ShownPlane>();
  #crosshairs = new Map<string, Vec3>();
  #places = new Map<string, Place>();
  #memory: Memory;
  #onChange: () => void;

  constructor(memory: Memory, onChange: () => void) {
    this.#memory = memory;
    this.#onChange = onChange;
    this.layout = layoutOf(memory.getItem(LAYOUT));
    this.links = readLinks(memory);
    this.cells = this.layout.cells.map(({ mode }) => ({ ...EMPTY, mode }));
  }

  get cell(): Cell {
    return this.cells[this.active] ?? EMPTY;
  }

  get series(): Series | null {
    return this.seriesOf(this.cell);
  }

  seriesOf({ seriesUid }: Cell): Series | null {
    return this.#series.find((series) => series.series_instance_uid === seriesUid) ?? null;
  }

  /** Series that can be shown, in the order of the study. */
  get pictures(): Series[] {
    return this.#series.filter((series) => series.is_image && series.instances.length > 0);
  }

  /** The study as it is now. Slices that arrive before the one looked at push it on; the picture stays. */
  setSeries(series: readonly Series[], first: Series | null): void {
    const before = this.#series;
    this.#series = series;
    this.cells = this.cells.map((cell) => {
      const was = before.find((one) => one.series_instance_uid === cell.seriesUid);
      const is = this.seriesOf(cell);
      if (cell.seriesUid && !is) return { ...EMPTY, mode: cell.mode };
      if (!was || !is || was === is) return cell;
      const seen = slicesOf(was)[cell.index];
      const index = slicesOf(is).findIndex(
        ({ instance, frame }) =>
          instance.sop_instance_uid === seen?.instance.sop_instance_uid && frame === seen.frame,
      );
      return { ...cell, index: Math.max(0, index) };
    });
    if (!this.series && first) this.#fill(first);
    this.#onChange();
  }

  /** The first series in the active cell, the next ones in those still empty. */
  #fill(first: Series): void {
    this.#put(first, this.active);
    if (this.layout.isVolume) return;
    const shown = new Set(this.cells.map(({ seriesUid }) => seriesUid));
    const waiting = this.pictures.filter(
      (series) => !series.is_ai_result && !shown.has(series.series_instance_uid),
    );
    this.cells.forEach((cell, at) => {
      const next = cell.seriesUid ? undefined : waiting.shift();
      if (next) this.#put(next, at);
    });
  }

  /** A series into a cell; a volume layout shows one series in all of them. */
  #put(series: Series, at: number): void {
    const place = this.#places.get(series.series_instance_uid);
    this.cells = this.cells.map((cell, index) => {
      if (index !== at && !this.layout.isVolume) return cell;
      return openedCell(series, this.layout.cells[index]?.mode ?? "stack", place);
    });
    const middle = middleOf(series, this.cells[at]?.index ?? 0);
    if (middle && !this.#crosshairs.has(series.frame_of_reference_uid))
      this.#crosshairs.set(series.frame_of_reference_uid, middle);
  }

  #leave({ seriesUid, index, window, lut }: Cell): void {
    if (seriesUid) this.#places.set(seriesUid, { index, window, lut });
  }

  open(series: Series, at = this.active): void {
    this.active = at;
    const cell = this.cells[at];
    if (cell?.seriesUid !== series.series_instance_uid) {
      if (cell) this.#leave(cell);
      this.#put(series, at);
    }
    this.#onChange();
  }

  /** Bring a slice of a series on the stage: where the series is shown already, else in the active cell. */
  show(series: Series, index: number): void {
    const isHere = (cell: Cell): boolean => cell.seriesUid === series.series_instance_uid;
    const stacks = this.cells.flatMap((cell, at) => (isHere(cell) && cell.mode === "stack" ? [at] : []));
    const at = stacks.includes(this.active) ? this.active : (stacks[0] ?? this.active);
    if (this.layout.isVolume && isHere(this.cell)) this.#moveCrosshairTo(series, index);
    else {
      this.open(series, at);
      this.#patch(at, { index, mode: this.layout.isVolume ? this.cell.mode : "stack", isOutside: false });
      if (this.layout.isVolume) this.#moveCrosshairTo(series, index);
    }
    this.#follow(at);
    this.#onChange();
  }

  #moveCrosshairTo(series: Series, index: number): void {
    const plane = planeOf(slicesOf(series)[index]);
    if (!plane) return;
    const uid = series.frame_of_reference_uid;
    const from = this.#crosshairs.get(uid) ?? plane.center;
    const normal = normalOf(plane);
    this.#crosshairs.set(uid, add(from, scale(normal, dot(subtract(plane.center, from), normal))));
  }

  setLayout(id: string): void {
    const layout = layoutOf(id);
    const { series, cell: kept } = this;
    const wasVolume = this.layout.isVolume;
    for (const cell of this.cells) this.#leave(cell);
    this.layout = layout;
    this.isMaximised = false;
    this.#memory.setItem(LAYOUT, layout.id);
    const before = this.cells;
    this.cells = layout.cells.map(({ mode }, at) => {
      // The active cell comes along where the new layout is smaller.
      const from = at === 0 && this.active >= layout.cells.length ? kept : before[at];
      if (layout.isVolume || (wasVolume && at > 0) || !from) return { ...EMPTY, mode };
      return wasVolume ? { ...from, mode, plane: null } : from;
    });
    if (this.active >= layout.cells.length || wasVolume !== layout.isVolume) this.active = 0;
    if (layout.isVolume && series) {
      this.#put(series, 0);
      this.cells = this.cells.map((cell) => ({ ...cell, window: kept.window, found: kept.found }));
      if (kept.mode === "stack") this.#moveCrosshairTo(series, kept.index);
    } else if (series) this.#fill(this.series ?? series);
    this.#onChange();
  }

  activate(at: number): void {
    if (at === this.active || !this.cells[at]) return;
    this.active = at;
    this.#onChange();
  }

  move(direction: Direction): void {
    this.activate(neighbour(this.layout, this.active, direction));
  }

  maximise(at = this.active): void {
    this.active = at;
    this.isMaximised = !this.isMaximised && this.cells.length > 1;
    this.#onChange();
  }

  /** Another view of the active cell's series. */
  setMode(mode: ViewportMode): void {
    this.#patch(this.active, { mode, plane: null });
    const { series, cell } = this;
    if (series && mode !== "stack") this.#moveCrosshairTo(series, cell.index);
    this.#onChange();
  }

  update(change: Partial<Cell>, at = this.active): void {
    this.#patch(at, change);
    this.#onChange();
  }

  #patch(at: number, change: Partial<Cell>): void {
    this.cells = this.cells.map((cell, index) => (index === at ? { ...cell, ...change } : cell));
  }

  // Going through the images.

  /** Go to a slice of a stack; cells that are linked follow to the same place in the patient. */
  goTo(index: number, at = this.active): void {
    const cell = this.cells[at];
    const series = cell && this.seriesOf(cell);
    if (!cell || !series) return;
    const last = slicesOf(series).length - 1;
    this.#patch(at, { index: Math.min(last, Math.max(0, index)), isOutside: false });
    this.#follow(at);
    this.#onChange();
  }

  #follow(from: number): void {
    const source = this.cells[from];
    const series = source && this.seriesOf(source);
    if (!source || !series || source.mode !== "stack") return;
    if (!this.links.scroll) return;
    this.cells = this.cells.map((cell, at) => {
      const target = this.seriesOf(cell);
      if (at === from || !target || cell.mode !== "stack") return cell;
      if (target === series) return { ...cell, index: source.index, isOutside: false };
      const found = this.#sameSlice(series, source.index, target);
      return found ? { ...cell, ...found } : { ...cell, isOutside: false };
    });
    if (this.cells.some((cell) => isPlane(cell) && shareFrame(this.seriesOf(cell), series)))
      this.#moveCrosshairTo(series, source.index);
  }

  #sameSlice(source: Series, index: number, target: Series): Found | null {
    return linkedSlice(source, index, target) ?? this.#hand.follow(source, index, target);
  }

  /** The stacks of other frames of reference on the stage: a reader may say that they show the same place. */
  get handOffers(): HandOffer[] {
    return this.#hand.offers(this);
  }

  /** Say that the active cell and another show the same place now, or take that back. */
  toggleHandLink(at: number): void {
    const { cell, series } = this;
    const other = this.cells[at];
    const target = other && this.seriesOf(other);
    if (!series || !other || !target) return;
    if (this.#hand.offsetOf(series, target) !== null) this.#hand.unlink(series, target);
    else {
      this.#hand.link({ series, index: cell.index }, { series: target, index: other.index });
      if (!this.links.scroll) this.toggleLink("scroll");
    }
    this.#onChange();
  }

  /** With which cells one is linked by hand, and by how much deeper it is shown there. */
  handLinksOf(at: number): HandOffset[] {
    return this.links.scroll ? this.#hand.offsets(this, at) : [];
  }

  /** Whether the active cell's images are followed by another cell, or would be. */
  isLinked(at: number): boolean {
    const cell = this.cells[at];
    const series = cell && this.seriesOf(cell);
    if (!this.links.scroll || !cell || !series || at === this.active) return false;
    const source = this.series;
    if (!source || this.cell.mode !== "stack" || cell.mode !== "stack") return false;
    return source === series || this.#sameSlice(source, this.cell.index, series) !== null;
  }

  /** Next or former series in the active cell. */
  stepSeries(by: 1 | -1): void {
    const { pictures } = this;
    const at = pictures.findIndex((series) => series.series_instance_uid === this.cell.seriesUid);
    const next = pictures[at + by];
    if (next) this.open(next);
  }

  // How it looks.

  setWindow(window: VoiWindow | "auto" | null, at = this.active): void {
    const source = this.cells[at];
    const modality = source && this.seriesOf(source)?.modality;
    this.cells = this.cells.map((cell, index) => {
      // Planes of one volume are one picture; other series follow where that is asked for, in one unit only.
      const isSame = this.layout.isVolume && cell.seriesUid === source?.seriesUid;
      const isFollowing = this.links.window && this.seriesOf(cell)?.modality === modality;
      return index === at || isSame || isFollowing ? { ...cell, window, lut: null } : cell;
    });
    this.#onChange();
  }

  /** The server says which window it chose; slices of one volume keep it. */
  foundWindow(found: VoiWindow, at: number): void {
    const cell = this.cells[at];
    const series = cell && this.seriesOf(cell);
    if (!cell || !series) return;
    const settles = cell.window === null && cell.lut === null && isVolume(series) && cell.mode === "stack";
    this.#patch(at, settles ? { found, window: found } : { found });
    this.#onChange();
  }

  invert(): void {
    const { isInverted } = this.cell;
    this.cells = this.cells.map((cell, at) =>
      at === this.active || (this.layout.isVolume && is2dOf(cell, this.cell))
        ? { ...cell, isInverted: !isInverted }
        : cell,
    );
    this.#onChange();
  }

  rotate(by: 90 | -90): void {
    this.update(rotateCell(this.cell, by));
  }

  flip(axis: "horizontal" | "vertical"): void {
    this.update(flipCell(this.cell, axis));
  }

  reset(): void {
    const { series, active } = this;
    if (series) this.#patch(active, resetCell(this.cell, series, this.layout.cells[active]?.mode ?? "stack"));
    this.#onChange();
  }

  toolOf({ mode }: Cell): Tool {
    return mode === "volume" ? this.volumeTool : this.flatTool;
  }

  /** A tool that both have is chosen in both: who moves the picture moves the volume next. */
  setTool(tool: Tool): void {
    if (tool !== "rotate") this.flatTool = tool;
    if (tool === "scroll" || tool === "crosshair" || tool === "window") this.volumeTool = "rotate";
    else this.volumeTool = tool;
    if (this.cell.mode === "volume") this.volumeTool = tool;
    if (tool === "crosshair") this.isCrosshairShown = true;
    this.#onChange();
  }

  toggleLink(link: Link): void {
    this.links = { ...this.links, [link]: !this.links[link] };
    this.#memory.setItem(LINKS, JSON.stringify(this.links));
    if (link === "scroll") {
      this.cells = this.cells.map((cell) => ({ ...cell, isOutside: false }));
      this.#follow(this.active);
    }
    this.#onChange();
  }

  /** The cells whose zoom and position on the screen follow that of another. */
  zoomFollowers(from: number): number[] {
    if (!this.links.zoom || this.cells[from]?.mode === "volume") return [];
    return this.cells.flatMap((cell, at) =>
      at !== from && cell.seriesUid && cell.mode !== "volume" ? [at] : [],
    );
  }

  // Where in the patient.

  toggleCrosshair(): void {
    this.isCrosshairShown = !this.isCrosshairShown;
    if (!this.isCrosshairShown && this.flatTool === "crosshair") this.flatTool = "window";
    this.#onChange();
  }

  /** The crosshair of a cell's frame of reference; a plane always has one, as it says where the plane lies. */
  crosshairOf(cell: Cell): Vec3 | null {
    const series = this.seriesOf(cell);
    if (!series || (cell.mode === "stack" && !this.#isCrosshairUsed(series))) return null;
    return this.#crosshairs.get(series.frame_of_reference_uid) ?? null;
  }

  #isCrosshairUsed(series: Series): boolean {
    if (!this.isCrosshairShown) return false;
    return (
      this.flatTool === "crosshair" ||
      this.cells.some((cell) => isPlane(cell) && shareFrame(this.seriesOf(cell), series))
    );
  }

  /** Move the crosshair: planes go through it, stacks go to the slice that holds it. */
  setCrosshair(point: Vec3, from: number): void {
    const source = this.cells[from];
    const series = source && this.seriesOf(source);
    if (!series) return;
    this.#crosshairs.set(series.frame_of_reference_uid, point);
    this.cells = this.cells.map((cell, at) => {
      const target = this.seriesOf(cell);
      if (cell.mode === "oblique" && cell.plane && at === from) return cell;
      if (at === from || !target || cell.mode !== "stack" || !shareFrame(series, target)) return cell;
      const found = this.links.scroll || this.flatTool === "crosshair" ? sliceAt(target, point) : null;
      return found ? { ...cell, ...found } : cell;
    });
    this.#onChange();
  }

  /** What a cell's viewport says that it shows. */
  setPlane(at: number, plane: ShownPlane | null): void {
    if (plane) this.#planes.set(at, plane);
    else if (!this.#planes.delete(at)) return;
    if (this.cells.length > 1) this.#onChange();
  }

  /** The reader turned the line of a plane: it is oblique from now on. */
  turnPlane(at: number, plane: Plane): void {
    if (this.cells[at]) this.update({ mode: "oblique", plane }, at);
  }

  /** The planes of the other cells on the stage, to be drawn as lines where they cut this one. */
  referencePlanesFor(at: number): ReferencePlane[] {
    const cell = this.cells[at];
    const series = cell && this.seriesOf(cell);
    if (!cell || !series || !this.links.lines || cell.mode === "volume") return [];
    return this.cells.flatMap((other, index) => {
      const plane = this.#planes.get(index);
      if (index === at || !plane || other.mode === "volume") return [];
      if (!shareFrame(this.seriesOf(other), series)) return [];
      const isTurnable = isPlane(other) && isPlane(cell);
      return [{ ...plane, id: String(index), color: this.colorOf(index), isTurnable }];
    });
  }

  colorOf(at: number): string {
    return COLORS[at % COLORS.length] ?? "#fff";
  }
}

const is2dOf = (cell: Cell, source: Cell): boolean =>
  cell.mode !== "volume" && cell.seriesUid === source.seriesUid;

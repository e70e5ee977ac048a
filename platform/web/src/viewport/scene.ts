import type { Series, VoiWindow } from "../api/types";
import type { RenderConnection } from "../transport/render-connection";
import type { Shown } from "../transport/stream-view";
import type { OverlayItem } from "./contours";
import type { Pinch, Point, Size, View } from "./geometry";
import type { Drag, TouchTool } from "./gestures";
import type { Plane, ReferencePlane, ShownPlane, Vec3 } from "./lps";
import type { Crop, Slab, Tool, Turn, ViewportMode } from "./modes";
import type { EdgeLetters } from "./orientation";

/** What a scene may ask of the element that it is shown in. */
export interface SceneHost {
  readonly series: Series | null;
  readonly studyInstanceUid: string;
  readonly dicomweb: string;
  readonly connection: RenderConnection | null;
  readonly mode: ViewportMode;
  readonly index: number;
  readonly window: VoiWindow | "auto" | null;
  readonly lut: number | null;
  readonly isInverted: boolean;
  readonly rotation: Turn;
  readonly isFlipped: boolean;
  readonly interpolation: "linear" | "nearest";
  readonly overlay: readonly OverlayItem[];
  readonly opacity: number;
  readonly isAiHidden: boolean;
  readonly touchTool: TouchTool;
  readonly tool: Tool;
  readonly crosshair: Vec3 | null;
  readonly plane: Plane | null;
  readonly slab: Slab;
  readonly segments: readonly string[];
  readonly preset: string;
  readonly presetWindow: { shift: number; scale: number };
  readonly crop: Crop | null;
  readonly isCropping: boolean;
  readonly meshes: readonly string[];
  readonly referencePlanes: readonly ReferencePlane[];
  readonly quality: "auto" | "lossless";
  readonly isPhone: boolean;
  /** Of the element, CSS pixels. */
  readonly size: Size;
  /** A gesture is under way. */
  readonly isMoving: boolean;
  view: View;
  emit(name: string, detail: unknown): void;
  requestUpdate(): void;
}

/** What is on the screen, as the labels say it. */
export interface Status {
  source: "stream" | "rest" | "none";
  index: number;
  count: number;
  loaded: readonly boolean[];
  /** 0 to 3; -1 where nothing is shown. */
  tier: number;
  isLossless: boolean;
  isSettled: boolean;
  isRefining: boolean;
  /** Why it is less than what the modality made; empty where it is not. */
  lossy: string;
  /** The window of the picture; null in colour, or where there is none. */
  window: VoiWindow | null;
  hasPicture: boolean;
  letters: EdgeLetters | null;
  /** Name of the plane. */
  plane: string;
  /** Screen pixels a millimetre; null where lengths cannot be told. */
  pxPerMm: number | null;
  zoom: string;
  /** Where it lies, in words; empty where that is not known. */
  position: string;
  /** What one step of the scroll is called. */
  word: string;
  /** Why nothing can be shown. */
  error: unknown;
  isLoading: boolean;
}

/** One way of looking at a series. */
export interface Scene {
  /** A property of the element changed. */
  update(changed: ReadonlySet<string>): void;
  /** Returns the picture of the stream that was painted, if it was one. */
  draw(picture: CanvasRenderingContext2D, overlay: CanvasRenderingContext2D, ratio: number): Shown | null;
  status(): Status;
  plane(): ShownPlane | null;
  close(): void;
  retry(): void;
  fit(): void;
  step(by: number): void;
  dragAt(at: Point, isPrimary: boolean): Drag | null;
  windowBy(dx: number, dy: number, isOver: boolean): void;
  zoomBy(factor: number, at: Point): void;
  panBy(dx: number, dy: number): void;
  pinch(from: Pinch, to: Pinch): void;
  actualSize?(): void;
  rollBy?(degrees: number): void;
  rotateBy?(dx: number, dy: number): void;
  setCrosshair?(at: Point): void;
  grab?(at: Point, from: Point): void;
  probe(at: Point): Promise<string | null>;
}

// Written by scripts/protocol.py from gantry_render.protocol; change it there.
export const VERSION = 1;
export const SUBPROTOCOL = "gantry-render.v1";
export const MAX_MESSAGE_BYTES = 32768;
export const MAX_VIEWS = 16;
export const MAX_PREFETCH = 64;
export const MAX_SIDE_PIXELS = 4096;
export const IN_FLIGHT = 2;
export const SETTLE_AFTER_MS = 150;
export const FRAME_MAGIC = 71;
export const PACKED_MAGIC = 90;
export const FRAME_HEADER_BYTES = 72;

/** Why a pod closes a socket; `bye` says it in a sentence first. */
export const CloseCode = {
  MALFORMED: 4400,
  SIGNED_OUT: 4401,
  REFUSED: 4403,
  ABSENT: 4404,
  TICKET_REFUSED: 4410,
  TOO_LARGE: 4413,
  BUSY: 4429,
  FAILED: 4500,
  LEASE_LOST: 4503,
  DRAINING: 4504,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** How a frame's picture is encoded. */
export const MediaType = {
  JPEG: 1,
  PNG: 2,
  WEBP: 3,
  AVIF: 4,
} as const;
export type MediaType = (typeof MediaType)[keyof typeof MediaType];

/** How good a frame is. Tiers 0 to 2 are what the link bears while things move; 3 is exact. */
export const Tier = {
  T0: 0,
  T1: 1,
  T2: 2,
  T3: 3,
} as const;
export type Tier = (typeof Tier)[keyof typeof Tier];

/** What else there is to know of a frame. */
export const FrameFlag = {
  PREFETCHED: 1,
  SETTLED: 2,
  LOSSLESS: 4,
  COLOUR: 8,
  INVERTED: 16,
  PREVIEW: 32,
} as const;
export type SlabMode = "none" | "mip" | "minip" | "average";

export const CLOSE_CODES_TO_RETRY: readonly number[] = [4410, 4429, 4503, 4504];

/** How values become grey. */
export interface Voi {
  kind: "default" | "window" | "lut" | "auto";
  center: number | null;
  width: number | null;
  function: "linear" | "linear-exact" | "sigmoid";
  index: number;
}

/** One frame of the series as it was acquired. */
export interface StackState {
  frame: number;
  size: readonly [number, number];
  region: readonly [number, number, number, number] | null;
  voi: Voi;
  invert: boolean;
  kind: "stack";
}

/** A plane or slab through a volume; `center_lps_mm` is the middle of the picture, `spacing_mm` of a device pixel. */
export interface PlaneState {
  center_lps_mm: readonly [number, number, number];
  row_lps: readonly [number, number, number];
  column_lps: readonly [number, number, number];
  spacing_mm: number;
  size: readonly [number, number];
  slab_mm: number;
  slab_mode: SlabMode;
  voi: Voi;
  invert: boolean;
  interpolation: "linear" | "nearest";
  segments: readonly string[];
  kind: "plane";
}

/** The eye, as `gantry_render.scene.Camera` has it; `parallel_scale_mm` None is perspective. */
export interface CameraState {
  position_lps_mm: readonly [number, number, number];
  focal_point_lps_mm: readonly [number, number, number];
  view_up_lps: readonly [number, number, number];
  parallel_scale_mm: number | null;
  view_angle_deg: number;
}

/** The volume in 3D. */
export interface VolumeState {
  camera: CameraState;
  size: readonly [number, number];
  preset: string;
  window_shift: number;
  window_scale: number;
  crop_low_ijk: readonly [number, number, number] | null;
  crop_high_ijk: readonly [number, number, number] | null;
  meshes: readonly string[];
  segments: readonly string[];
  mesh_opacity: number;
  kind: "volume";
}

/** First message of a connection. */
export interface Hello {
  ticket: string;
  accept: readonly string[];
  type: "hello";
}

/** The newest state of one view. */
export interface View {
  view: number;
  state_id: number;
  state: StackState | PlaneState | VolumeState;
  moving: boolean;
  quality: "auto" | "lossless";
  prefetch: readonly number[];
  holds: number;
  type: "view";
}

/** A view is no longer on the screen. */
export interface Drop {
  view: number;
  type: "drop";
}

/** A frame was painted, or dropped unseen. */
export interface Ack {
  seq: number;
  painted: boolean;
  held_ms: number;
  type: "ack";
}

/** Ask for the value under the cursor: source pixel of a frame, or a point of the volume. */
export interface Probe {
  id: number;
  frame: number | null;
  column: number;
  row: number;
  point_lps_mm: readonly [number, number, number] | null;
  type: "probe";
}

/** Keeps proxies from closing a quiet socket; answered at once by `pong`. */
export interface Ping {
  type: "ping";
}

/** A window that an image names. */
export interface WindowFacts {
  center: number;
  width: number;
  function: string;
  explanation: string;
}

/** One frame of the series, in the order of the pack. */
export interface FrameFacts {
  sop_instance_uid: string;
  frame: number;
  rows: number;
  columns: number;
  spacing_mm: readonly [number, number] | null;
  position_lps_mm: readonly [number, number, number] | null;
  orientation_lps: readonly [number, number, number, number, number, number] | null;
  is_colour: boolean;
  is_reversed: boolean;
  is_lossy: boolean;
  windows: readonly WindowFacts[];
  luts: readonly string[];
  code: string;
  sentence: string;
}

/** The grid of a series that is a volume; `lps_from_ijk` row by row, 16 numbers. */
export interface VolumeFacts {
  shape_kji: readonly [number, number, number];
  lps_from_ijk: readonly number[];
  spacing_ijk_mm: readonly [number, number, number];
  low: number;
  high: number;
}

/** A result that can be shown in the volume. */
export interface ResultFacts {
  id: string;
  label: string;
  colour: readonly [number, number, number];
  is_reviewed: boolean;
  kind: "mesh" | "segmentation";
}

/** The series, and what this pod can do with it. */
export interface Welcome {
  session: string;
  frames: readonly FrameFacts[];
  modality: string;
  unit: string;
  frame_of_reference_uid: string;
  volume: VolumeFacts | null;
  no_volume_code: string;
  no_volume_sentence: string;
  presets: readonly string[];
  results: readonly ResultFacts[];
  engine: string;
  frame_time_ms: number | null;
  version: number;
  type: "welcome";
}

/** Which frames lie decoded in the pod: pairs of first and beyond; `is_volume_ready` opens MPR and 3D. */
export interface Progress {
  loaded: readonly (readonly [number, number])[];
  is_volume_ready: boolean;
  type: "progress";
}

/** Something is not as it should be, and the session goes on: the store is slow, a frame cannot be shown. */
export interface Notice {
  code: string;
  sentence: string;
  view: number | null;
  place: number | null;
  is_over: boolean;
  type: "notice";
}

/** A value, None outside the image; `text` is fit to be shown, with its unit. */
export interface Probed {
  id: number;
  value: number | null;
  text: string;
  type: "probed";
}

/** What the pod measured of the link, for the viewer's corner. */
export interface Link {
  tier: number;
  goodput_kbit_s: number;
  round_trip_ms: number;
  type: "link";
}

/** The pod closes; `retry_after_ms` None means that trying again does not help. */
export interface Bye {
  code: string;
  sentence: string;
  retry_after_ms: number | null;
  type: "bye";
}

export interface Pong {
  type: "pong";
}

export type State = StackState | PlaneState | VolumeState;

export type ClientMessage = Hello | View | Drop | Ack | Probe | Ping;

export type ServerMessage = Welcome | Progress | Notice | Probed | Link | Bye | Pong;

/** One picture; what its header says, and the encoded bytes as a view of the message. */
export interface Frame {
  mediaType: MediaType;
  tier: Tier;
  flags: number;
  view: number;
  seq: number;
  stateId: number;
  width: number;
  height: number;
  queuedUs: number;
  place: number;
  windowCenter: number;
  windowWidth: number;
  renderUs: number;
  encodeUs: number;
  /** Left, top, width, height. */
  region: readonly [number, number, number, number];
  payload: Uint8Array<ArrayBuffer>;
}

const MIMES: Record<MediaType, string> = {
  1: "image/jpeg",
  2: "image/png",
  3: "image/webp",
  4: "image/avif",
};

/** Name of the picture's encoding for a Blob. */
export const mimeOf = (frame: Frame): string => MIMES[frame.mediaType];

/** Read a binary message; null where it is no frame of this version. */
export function readFrame(message: ArrayBuffer): Frame | null {
  if (message.byteLength < FRAME_HEADER_BYTES) return null;
  const view = new DataView(message);
  if (view.getUint8(0) !== FRAME_MAGIC || view.getUint8(1) !== VERSION) return null;
  if (!(view.getUint8(2) in MIMES)) return null;
  return {
    mediaType: view.getUint8(2) as MediaType,
    tier: view.getUint8(3) as Tier,
    flags: view.getUint16(4, true),
    view: view.getUint16(6, true),
    seq: view.getUint32(8, true),
    stateId: view.getUint32(12, true),
    width: view.getUint16(16, true),
    height: view.getUint16(18, true),
    queuedUs: view.getUint32(20, true),
    place: view.getFloat64(24, true),
    windowCenter: view.getFloat64(48, true),
    windowWidth: view.getFloat64(56, true),
    renderUs: view.getUint32(64, true),
    encodeUs: view.getUint32(68, true),
    region: [
      view.getFloat32(32, true),
      view.getFloat32(36, true),
      view.getFloat32(40, true),
      view.getFloat32(44, true),
    ],
    payload: new Uint8Array(message, FRAME_HEADER_BYTES),
  };
}

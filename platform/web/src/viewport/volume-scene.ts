import { type CameraState, MAX_SIDE_PIXELS, type VolumeState } from "../transport/protocol.gen";
import type { Shown } from "../transport/stream-view";
import { cameraFrom, frameOf, magnifyCamera, orbit, project, pxPerMmOf, roll, slide } from "./camera";
import type { Pinch, Point } from "./geometry";
import type { Drag } from "./gestures";
import { drawLines, type Line } from "./lines";
import { add, dot, type ShownPlane, scale, type Vec3 } from "./lps";
import type { Crop } from "./modes";
import { type Grid, gridOf, lpsFromIjk } from "./mpr";
import { directionLetters } from "./orientation";
import type { Scene, SceneHost, Status } from "./scene";
import { StreamScene } from "./stream-scene";

/** More pixels than this a side cost the pod more than a reader sees. */
const MOST_PIXELS = 1024;
const HANDLE_PX = 14;
const CUBE_PX = 26;
const SIDES: readonly (readonly [Vec3, string])[] = [
  [[1, 0, 0], "L"],
  [[-1, 0, 0], "R"],
  [[0, 1, 0], "P"],
  [[0, -1, 0], "A"],
  [[0, 0, 1], "H"],
  [[0, 0, -1], "F"],
];

interface Handle {
  axis: 0 | 1 | 2;
  end: "low" | "high";
  at: Point;
}

/** The volume in 3D. While a frame is on its way the last one stays: a guess would be wrong geometry. */
export class VolumeScene extends StreamScene implements Scene {
  #camera: CameraState | null = null;
  #seriesUid = "";
  #face = "A";
  #grabbed: { handle: Handle; crop: Crop } | null = null;
  #windowStart: { shift: number; scale: number } | null = null;
  #preview: { shift: number; scale: number } | null = null;

  constructor(host: SceneHost) {
    super(host);
  }

  override update(changed: ReadonlySet<string>): void {
    const uid = this.host.series?.series_instance_uid ?? "";
    if (uid !== this.#seriesUid) {
      this.#seriesUid = uid;
      this.#camera = null;
    }
    if (changed.has("presetWindow") && !this.host.isMoving) this.#preview = null;
    super.update(changed);
  }

  #grid(): Grid | null {
    const volume = this.host.connection?.welcome?.volume;
    return volume ? gridOf(volume) : null;
  }

  look(face?: string): void {
    const { host, view } = this;
    const grid = this.#grid();
    if (!grid || !view || host.size.width === 0) return;
    if (face) {
      this.#face = face;
      this.#camera = null;
    }
    if (!this.#camera) {
      this.#camera = cameraFrom(grid, this.#face, host.size);
      host.emit("camera-change", this.#camera);
    }
    const ratio = devicePixelRatio;
    const [width, height] = [host.size.width * ratio, host.size.height * ratio];
    const least = Math.min(1, Math.min(MOST_PIXELS, MAX_SIDE_PIXELS) / Math.max(width, height));
    const presets = host.connection?.welcome?.presets ?? [];
    const { shift, scale: factor } = this.#preview ?? host.presetWindow;
    const state: VolumeState = {
      kind: "volume",
      camera: this.#camera,
      size: [Math.max(1, Math.round(width * least)), Math.max(1, Math.round(height * least))],
      preset: presets.includes(host.preset) ? host.preset : presetFor(host.series?.modality ?? "", presets),
      window_shift: shift,
      window_scale: factor,
      crop_low_ijk: host.crop?.low ?? null,
      crop_high_ijk: host.crop?.high ?? null,
      meshes: host.meshes,
      segments: host.segments,
      mesh_opacity: host.opacity,
    };
    view.set(state, { moving: host.isMoving, quality: host.quality });
  }

  #move(camera: CameraState): void {
    this.#camera = camera;
    this.host.emit("camera-change", camera);
    this.look();
    this.host.requestUpdate();
  }

  fit(): void {
    this.look(this.#face);
  }

  step(): void {}

  rotateBy(dx: number, dy: number): void {
    if (this.#camera) this.#move(orbit(this.#camera, dx, dy));
  }

  windowBy(dx: number, dy: number, isOver: boolean): void {
    const volume = this.host.connection?.welcome?.volume;
    if (!volume) return;
    this.#windowStart ??= this.host.presetWindow;
    const { shift, scale: factor } = this.#windowStart;
    // Up is brighter, as in two dimensions: the curve begins at lower values.
    const next = {
      shift: shift + (dy * (volume.high - volume.low)) / 800,
      scale: Math.min(20, Math.max(0.05, factor * Math.exp(dx / 250))),
    };
    this.#preview = next;
    this.look();
    if (!isOver) return;
    this.#windowStart = null;
    this.host.emit("preset-window-change", next);
  }

  zoomBy(factor: number, at: Point): void {
    if (this.#camera) this.#move(magnifyCamera(this.#camera, factor, at, this.host.size));
  }

  panBy(dx: number, dy: number): void {
    if (this.#camera) this.#move(slide(this.#camera, dx, dy, this.host.size));
  }

  pinch(from: Pinch, to: Pinch): void {
    if (!this.#camera) return;
    const { size } = this.host;
    const zoomed = magnifyCamera(this.#camera, to.distance / Math.max(1, from.distance), from.center, size);
    this.#move(slide(zoomed, to.center.x - from.center.x, to.center.y - from.center.y, size));
  }

  rollBy(degrees: number): void {
    if (this.#camera) this.#move(roll(this.#camera, (degrees * Math.PI) / 180));
  }

  dragAt(at: Point, isPrimary: boolean): Drag | null {
    this.#grabbed = null;
    if (!isPrimary) return null;
    const handle = this.#handles().find((one) => Math.hypot(one.at.x - at.x, one.at.y - at.y) < HANDLE_PX);
    const crop = this.#crop();
    if (!handle || !crop) return null;
    this.#grabbed = { handle, crop };
    return "grab";
  }

  grab(at: Point, from: Point): void {
    const grid = this.#grid();
    const camera = this.#camera;
    if (!grid || !camera || !this.#grabbed) return;
    const { handle, crop } = this.#grabbed;
    const { right, down } = frameOf(camera);
    const px = pxPerMmOf(camera, this.host.size);
    const axis = grid.axes[handle.axis];
    const [x, y] = [dot(axis, right) * px, dot(axis, down) * px];
    const size = x * x + y * y;
    // An axis that points at the eye cannot be dragged.
    if (size < 1e-6) return;
    const by = ((at.x - from.x) * x + (at.y - from.y) * y) / size;
    const last = (grid.counts[handle.axis] ?? 1) - 1;
    const next = { low: [...crop.low], high: [...crop.high] };
    const value = (crop[handle.end][handle.axis] ?? 0) + by;
    next[handle.end][handle.axis] =
      handle.end === "low"
        ? Math.min((crop.high[handle.axis] ?? 0) - 1, Math.max(0, value))
        : Math.max((crop.low[handle.axis] ?? 0) + 1, Math.min(last, value));
    const [a = 0, b = 0, c = 0] = next.low;
    const [d = 0, e = 0, f = 0] = next.high;
    this.host.emit("crop-change", { low: [a, b, c], high: [d, e, f] });
  }

  async probe(): Promise<null> {
    return null;
  }

  #crop(): Crop | null {
    const grid = this.#grid();
    if (!grid || !this.host.isCropping) return null;
    const [i, j, k] = grid.counts;
    return this.host.crop ?? { low: [0, 0, 0], high: [i - 1, j - 1, k - 1] };
  }

  /** One in the middle of each face of the crop box. */
  #handles(): Handle[] {
    const crop = this.#crop();
    const grid = this.#grid();
    const camera = this.#camera;
    if (!crop || !grid || !camera) return [];
    const middle = crop.low.map((low, at) => (low + (crop.high[at] ?? 0)) / 2);
    return ([0, 1, 2] as const).flatMap((axis) =>
      (["low", "high"] as const).map((end) => {
        const [i = 0, j = 0, k = 0] = middle.map((value, at) => (at === axis ? (crop[end][at] ?? 0) : value));
        return { axis, end, at: project(camera, lpsFromIjk(grid, [i, j, k]), this.host.size) };
      }),
    );
  }

  plane(): ShownPlane | null {
    return null;
  }

  draw(picture: CanvasRenderingContext2D, overlay: CanvasRenderingContext2D, ratio: number): Shown | null {
    const shown = this.view?.shown;
    const { size } = this.host;
    // Without a width: closed meanwhile, with the series that it is of.
    if (shown?.state.kind !== "volume" || shown.bitmap.width === 0) return null;
    const [width, height] = shown.state.size;
    // The element may have changed its shape since: then the picture keeps its own.
    const fit = Math.min(size.width / width, size.height / height) * ratio;
    picture.imageSmoothingEnabled = true;
    picture.imageSmoothingQuality = "low";
    picture.drawImage(
      shown.bitmap,
      (size.width * ratio - width * fit) / 2,
      (size.height * ratio - height * fit) / 2,
      width * fit,
      height * fit,
    );
    this.view?.painted();
    // Both are drawn as the picture was made, not as it will be.
    this.#drawCube(overlay, shown.state.camera, ratio);
    if (this.host.isCropping) this.#drawCrop(overlay, shown.state.camera, ratio);
    return shown;
  }

  #drawCrop(overlay: CanvasRenderingContext2D, camera: CameraState, ratio: number): void {
    const crop = this.#crop();
    const grid = this.#grid();
    if (!crop || !grid) return;
    const corner = (bits: number): Point => {
      const [i = 0, j = 0, k = 0] = [0, 1, 2].map(
        (at) => (bits & (1 << at) ? crop.high[at] : crop.low[at]) ?? 0,
      );
      return project(camera, lpsFromIjk(grid, [i, j, k]), this.host.size);
    };
    const lines: Line[] = [];
    for (let bits = 0; bits < 8; bits += 1)
      for (const bit of [1, 2, 4])
        if (!(bits & bit)) lines.push({ from: corner(bits), to: corner(bits | bit), color: "#7fd4ff" });
    drawLines(overlay, lines, ratio);
    for (const { at } of this.#handles()) {
      overlay.fillStyle = "#7fd4ff";
      overlay.strokeStyle = "#000";
      overlay.lineWidth = 2 * ratio;
      overlay.beginPath();
      overlay.arc(at.x * ratio, at.y * ratio, 7 * ratio, 0, 2 * Math.PI);
      overlay.fill();
      overlay.stroke();
    }
  }

  /** A cube with the sides of the patient on it, turned as the volume is. */
  #drawCube(overlay: CanvasRenderingContext2D, camera: CameraState, ratio: number): void {
    const { right, down, away } = frameOf(camera);
    const { height } = this.host.size;
    const middle = { x: 20 + CUBE_PX, y: height - 20 - CUBE_PX };
    const at = (point: Vec3): Point => ({
      x: (middle.x + dot(point, right) * CUBE_PX * 0.62) * ratio,
      y: (middle.y + dot(point, down) * CUBE_PX * 0.62) * ratio,
    });
    overlay.textAlign = "center";
    overlay.textBaseline = "middle";
    for (const [side, letter] of SIDES) {
      const facing = -dot(side, away);
      if (facing < 0.02) continue;
      const [one, other] = [0, 1, 2].filter((axis) => side[axis] === 0).map((axis) => unitAlong(axis));
      if (!one || !other) continue;
      overlay.beginPath();
      for (const [x, y] of [
        [1, 1],
        [1, -1],
        [-1, -1],
        [-1, 1],
      ] as const) {
        const corner = at(add(side, add(scale(one, x), scale(other, y))));
        overlay.lineTo(corner.x, corner.y);
      }
      overlay.closePath();
      overlay.fillStyle = `rgb(40 52 64 / ${55 + 40 * facing}%)`;
      overlay.fill();
      overlay.strokeStyle = "#9fb3c4";
      overlay.lineWidth = ratio;
      overlay.stroke();
      if (facing < 0.35) continue;
      const label = at(side);
      overlay.fillStyle = "#fff";
      overlay.font = `600 ${Math.round(14 * ratio)}px system-ui, sans-serif`;
      overlay.fillText(letter, label.x, label.y);
    }
  }

  status(): Status {
    const camera = this.#camera;
    const shown = this.view?.shown;
    const seen = shown?.state.kind === "volume" ? shown.state.camera : camera;
    const axes = seen ? frameOf(seen) : null;
    const back = (vector: Vec3): Vec3 => scale(vector, -1);
    const grid = this.#grid();
    const home = grid && camera ? cameraFrom(grid, this.#face, this.host.size).parallel_scale_mm : null;
    const zoom = home && camera?.parallel_scale_mm ? home / camera.parallel_scale_mm : 1;
    return {
      ...this.streamStatus(),
      index: 0,
      count: grid ? 1 : 0,
      loaded: [],
      isLossless: false,
      lossy: shown ? "Rendering, not for diagnosis" : "",
      window: null,
      letters: axes && {
        left: directionLetters(back(axes.right)),
        right: directionLetters(axes.right),
        top: directionLetters(back(axes.down)),
        bottom: directionLetters(axes.down),
      },
      plane: "3D",
      pxPerMm: seen && this.host.size.height > 0 ? pxPerMmOf(seen, this.host.size) : null,
      zoom: `${Math.round(zoom * 100)} %`,
      position: "",
      word: "Volume",
    };
  }
}

/** The first preset made for the modality: one of CT shows nothing of an MR. */
function presetFor(modality: string, presets: readonly string[]): string {
  const prefix = modality === "PT" ? "PET" : modality;
  return presets.find((name) => name.startsWith(`${prefix}-`)) ?? presets[0] ?? "";
}

const unitAlong = (axis: number): Vec3 => (axis === 0 ? [1, 0, 0] : axis === 1 ? [0, 1, 0] : [0, 0, 1]);

import type { VoiWindow } from "../api/types";
import type { Picture } from "../transport/loader";
import { type Placement, rewindowTable } from "./geometry";

export const isSameWindow = (one: VoiWindow | null, other: VoiWindow | null): boolean =>
  one?.center === other?.center && one?.width === other?.width;

/** Draws one picture, and previews another window by mapping its grey values. */
export class Painter {
  #source: { bitmap: ImageBitmap; grey: ImageData } | null = null;
  #mapped: OffscreenCanvas | null = null;

  paint(
    context: CanvasRenderingContext2D,
    picture: Picture,
    placement: Placement,
    matrix: { columns: number; rows: number },
    look: { window: VoiWindow | null; isReversed: boolean; isInverted: boolean; ratio: number },
  ): void {
    const { scaleX, scaleY, offsetX, offsetY } = placement;
    const { ratio } = look;
    // Pixel centres are at whole indices, so the picture begins half a pixel before index 0.
    const x = (offsetX - scaleX / 2) * ratio;
    const y = (offsetY - scaleY / 2) * ratio;
    const width = matrix.columns * scaleX * ratio;
    const height = matrix.rows * scaleY * ratio;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#inWindow(picture, look.window, look.isReversed), x, y, width, height);
    if (!look.isInverted) return;
    context.globalCompositeOperation = "difference";
    context.fillStyle = "#fff";
    context.fillRect(x, y, width, height);
    context.globalCompositeOperation = "source-over";
  }

  #inWindow(picture: Picture, window: VoiWindow | null, isReversed: boolean): CanvasImageSource {
    if (!window || !picture.window || isSameWindow(window, picture.window)) return picture.bitmap;
    const grey = this.#read(picture.bitmap);
    const table = rewindowTable(picture.window, window, isReversed);
    const mapped = new ImageData(grey.width, grey.height);
    const from = grey.data;
    const to = mapped.data;
    for (let at = 0; at < from.length; at += 4) {
      const value = table[from[at] ?? 0] ?? 0;
      to[at] = value;
      to[at + 1] = value;
      to[at + 2] = value;
      to[at + 3] = 255;
    }
    if (this.#mapped?.width !== grey.width || this.#mapped.height !== grey.height)
      this.#mapped = new OffscreenCanvas(grey.width, grey.height);
    this.#mapped.getContext("2d")?.putImageData(mapped, 0, 0);
    return this.#mapped;
  }

  #read(bitmap: ImageBitmap): ImageData {
    if (this.#source?.bitmap === bitmap) return this.#source.grey;
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("This browser cannot read pictures back.");
    context.drawImage(bitmap, 0, 0);
    const grey = context.getImageData(0, 0, bitmap.width, bitmap.height);
    this.#source = { bitmap, grey };
    return grey;
  }
}

import type { VoiWindow } from "../api/types";
import { type Affine, magnify, type Region, rewindowTable, type Size } from "./geometry";
import { isSameWindow } from "./windows";

/** A picture, or a part of it, that lies over others. */
export interface Layer {
  bitmap: ImageBitmap;
  /** What of the source it shows: left, top, width, height, edges at whole numbers. */
  region: Region;
  /** The window it is in; null: in colour. */
  window: VoiWindow | null;
}

export interface Look {
  window: VoiWindow | null;
  isReversed: boolean;
  isInverted: boolean;
  isSmooth: boolean;
  ratio: number;
}

/** Draws a picture of several layers, and previews another window by mapping their grey values. */
export class Painter {
  #sources = new WeakMap<ImageBitmap, ImageData>();
  #mapped: { bitmap: ImageBitmap; from: VoiWindow; to: VoiWindow; canvas: OffscreenCanvas } | null = null;

  paint(
    context: CanvasRenderingContext2D,
    layers: readonly Layer[],
    affine: Affine,
    size: Size,
    look: Look,
  ): void {
    const [a, b, c, d, e, f] = magnify(affine, look.ratio);
    // Pixel centres are at whole indices, so the picture begins half a pixel before index 0.
    context.setTransform(a, b, c, d, e - (a + c) / 2, f - (b + d) / 2);
    context.imageSmoothingEnabled = look.isSmooth;
    context.imageSmoothingQuality = "medium";
    for (const { bitmap, region, window } of layers) {
      // Closed meanwhile, for instance with the loader that it came from.
      if (bitmap.width === 0) continue;
      context.drawImage(this.#inWindow(bitmap, window, look), region[0], region[1], region[2], region[3]);
    }
    if (look.isInverted) {
      context.globalCompositeOperation = "difference";
      context.fillStyle = "#fff";
      context.fillRect(0, 0, size.width, size.height);
      context.globalCompositeOperation = "source-over";
    }
    context.resetTransform();
  }

  #inWindow(
    bitmap: ImageBitmap,
    from: VoiWindow | null,
    { window: to, isReversed }: Look,
  ): CanvasImageSource {
    if (!to || !from || isSameWindow(to, from)) return bitmap;
    const known = this.#mapped;
    if (known?.bitmap === bitmap && isSameWindow(known.from, from) && isSameWindow(known.to, to))
      return known.canvas;
    const grey = this.#read(bitmap);
    const table = rewindowTable(from, to, isReversed);
    const mapped = new ImageData(grey.width, grey.height);
    const source = grey.data;
    const target = mapped.data;
    for (let at = 0; at < source.length; at += 4) {
      const value = table[source[at] ?? 0] ?? 0;
      target[at] = value;
      target[at + 1] = value;
      target[at + 2] = value;
      target[at + 3] = 255;
    }
    const canvas = new OffscreenCanvas(grey.width, grey.height);
    canvas.getContext("2d")?.putImageData(mapped, 0, 0);
    this.#mapped = { bitmap, from, to, canvas };
    return canvas;
  }

  #read(bitmap: ImageBitmap): ImageData {
    const known = this.#sources.get(bitmap);
    if (known) return known;
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("This browser cannot read pictures back.");
    context.drawImage(bitmap, 0, 0);
    const grey = context.getImageData(0, 0, bitmap.width, bitmap.height);
    this.#sources.set(bitmap, grey);
    return grey;
  }
}

import { send } from "../api/http";
import { type Picture, SliceLoader } from "../transport/loader";
import { linkSpeed } from "../transport/prefetch";
import { renderedUrl, type Slice } from "../transport/stack";
import { parseWindow } from "./presets";
import type { SceneHost } from "./scene";

const BLANK_AFTER_MS = 150;

export interface RestPicture {
  index: number;
  picture: Picture;
}

/** A stack's pictures fetched one by one, for as long as the stream does not bring them. */
export class RestPictures {
  shown: RestPicture | null = null;
  /** Why the slice that is looked at cannot be had; null while it is on its way. */
  error: unknown = null;
  isLoading = false;
  #host: SceneHost;
  #slices: Slice[];
  #loader: SliceLoader | null = null;
  #wanted = "";
  #turn = 0;
  #blank: ReturnType<typeof setTimeout> | undefined;

  constructor(host: SceneHost, slices: Slice[]) {
    this.#host = host;
    this.#slices = slices;
  }

  /** Which slices are here; null where none was asked for. */
  get loaded(): boolean[] | null {
    return this.#loader?.loaded() ?? null;
  }

  /** Look at a slice; `sharpness` is how much of its matrix the screen can show. */
  look(index: number, sharpness: number): void {
    const { series, studyInstanceUid, dicomweb } = this.#host;
    if (!series) return;
    if (!this.#loader) this.#wanted = "";
    this.#loader ??= new SliceLoader(this.#slices, {
      urlOf: (slice) => renderedUrl(dicomweb, studyInstanceUid, series.series_instance_uid, slice),
      fetchPicture: async (url, accept, signal) => {
        const answer = await send(url, { headers: { Accept: accept }, signal });
        return { blob: await answer.blob(), window: parseWindow(answer.headers.get("Gantry-Window")) };
      },
      decode: (blob) => createImageBitmap(blob, { colorSpaceConversion: "none" }),
      onArrival: (at) => {
        if (at === this.#host.index) void this.#refresh();
        this.#host.requestUpdate();
      },
      ahead: linkSpeed(undefined).wantsLittle ? 8 : 100,
    });
    const window = this.#host.window === "auto" ? null : this.#host.window;
    // Each answer updates the element, which looks again.
    const wanted = JSON.stringify([index, window, sharpness]);
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#loader.look(index, window, sharpness);
    void this.#refresh();
  }

  async #refresh(): Promise<void> {
    const turn = ++this.#turn;
    const { index } = this.#host;
    const picture = await this.#loader?.best();
    if (turn !== this.#turn) return;
    clearTimeout(this.#blank);
    this.error = picture ? null : (this.#loader?.failure() ?? null);
    this.#host.requestUpdate();
    if (picture || this.error) {
      this.shown = picture ? { index, picture } : null;
      this.isLoading = false;
      if (picture?.window && !picture.asked) this.#host.emit("window-found", picture.window);
      return;
    }
    // A moment of the former slice is calmer than a flash of black; longer would mislead.
    this.#blank = setTimeout(() => {
      this.shown = null;
      this.isLoading = true;
      this.#host.requestUpdate();
    }, BLANK_AFTER_MS);
  }

  /** Ask for nothing more for now; what is shown may stay. */
  pause(): void {
    this.#loader?.pause();
    this.#wanted = "";
  }

  retry(): void {
    this.#loader?.retry();
  }

  /** Show nothing and ask for nothing, until something is looked at again. */
  close(): void {
    clearTimeout(this.#blank);
    this.#turn += 1;
    this.#loader?.close();
    this.#loader = null;
    this.shown = null;
    this.error = null;
    this.isLoading = false;
  }
}

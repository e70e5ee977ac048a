import { Problem } from "../api/problem";
import type { VoiWindow } from "../api/types";
import { Lru } from "./lru";
import { prefetchOrder } from "./order";
import type { Slice } from "./stack";

/** Motion pictures are JPEG and small; still ones PNG, pixel for pixel what the window gives. */
export type Tier = "motion" | "still";

export interface Picture {
  bitmap: ImageBitmap;
  tier: Tier;
  /** The window asked for; null: the server was to choose. */
  asked: VoiWindow | null;
  /** The window it is in; null: in colour. */
  window: VoiWindow | null;
}

/** A rendered picture as it came. */
export interface Rendered {
  blob: Blob;
  /** The window that the server says it used. */
  window: VoiWindow | null;
}

export interface LoaderOptions {
  /** Address of a slice's rendered picture, without query. */
  urlOf: (slice: Slice) => string;
  fetchPicture: (url: string, accept: string, signal: AbortSignal) => Promise<Rendered>;
  decode: (blob: Blob) => Promise<ImageBitmap>;
  /** A picture of this slice has arrived, or could not be had. */
  onArrival: (index: number) => void;
  cacheBytes?: number;
  ahead?: number;
}

interface Decoded {
  bitmap: ImageBitmap;
  window: VoiWindow | null;
}

interface Flight {
  index: number;
  tier: Tier;
  abort: AbortController;
}

const SETTLE_MS = 200;
const PARALLEL = 4;
const MOTION_QUALITY = 80;
const DECODED = 10;
const UNREADABLE = new Problem({
  status: 0,
  code: "picture.damaged",
  title: "Picture damaged",
  detail: "The picture arrived damaged. Try again; if it stays, report it.",
  correlationId: "",
});

/** A linear window is one unit wide at least (PS3.3 C.11.2.1.2.1); float maps need narrower ones. */
const functionOf = (window: VoiWindow): string => (window.width > 1 ? "linear" : "linear-exact");

const nameOf = (window: VoiWindow | null): string => (window ? `${window.center},${window.width}` : "auto");

/** Fetches the slices of one stack: the one looked at first, its neighbours next, losslessly once at rest. */
export class SliceLoader {
  #slices: Slice[];
  #options: LoaderOptions;
  #pictures: Lru<Rendered>;
  #decoded = new Lru<Decoded>(DECODED, ({ bitmap }) => bitmap.close());
  #flights = new Map<string, Flight>();
  #failures = new Map<string, unknown>();
  /** Newest window in which each slice was fetched, to have something to show while another loads. */
  #lastWindow = new Map<number, VoiWindow | null>();
  #index = 0;
  #direction: 1 | -1 = 1;
  #window: VoiWindow | null = null;
  #scale = 1;
  #settle: ReturnType<typeof setTimeout> | undefined;
  /** Signed out, or the right is gone: every further request would be answered so. */
  #isDenied = false;

  constructor(slices: Slice[], options: LoaderOptions) {
    this.#slices = slices;
    this.#options = options;
    this.#pictures = new Lru<Rendered>(options.cacheBytes ?? 64 * 2 ** 20);
  }

  /**
   * Say what is looked at now. `scale` (0 to 1) is how much of the matrix the screen can show;
   * motion pictures are asked for no larger.
   */
  look(index: number, window: VoiWindow | null, scale: number): void {
    if (index !== this.#index) this.#direction = index > this.#index ? 1 : -1;
    this.#index = index;
    this.#window = window;
    this.#scale = scale > 0.5 ? 1 : scale > 0.25 ? 0.5 : 0.25;
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#fetch(this.#index, "still"), SETTLE_MS);
    this.#plan();
  }

  /** The best picture of the slice looked at: lossless, else quick, else one in a former window. */
  async best(): Promise<Picture | null> {
    const index = this.#index;
    const former = this.#lastWindow.get(index) ?? null;
    for (const window of [this.#window, former]) {
      for (const tier of ["still", "motion"] as const) {
        const key = this.#key(index, tier, window);
        const decoded = this.#decoded.get(key) ?? (await this.#decode(key));
        if (decoded) return { bitmap: decoded.bitmap, tier, asked: window, window: window ?? decoded.window };
      }
    }
    return null;
  }

  /** Why there is no picture of the slice looked at; null while it is on its way. */
  failure(): unknown {
    return this.#failures.get(this.#key(this.#index, "motion", this.#window)) ?? null;
  }

  /** Which slices can be shown at once in the present window. */
  loaded(): boolean[] {
    return this.#slices.map((_, at) => this.#has(at, "motion") || this.#has(at, "still"));
  }

  /** Try failed slices again: the network came back. */
  retry(): void {
    this.#isDenied = false;
    this.#failures.clear();
    this.look(this.#index, this.#window, this.#scale);
  }

  /** Fetch nothing more; what is there stays, for it may be on the screen. */
  pause(): void {
    clearTimeout(this.#settle);
    for (const flight of this.#flights.values()) flight.abort.abort();
    this.#flights.clear();
  }

  close(): void {
    this.pause();
    this.#pictures.clear();
    this.#decoded.clear();
  }

  #plan(): void {
    const ahead = this.#options.ahead ?? 100;
    const order = prefetchOrder(this.#index, this.#direction, this.#slices.length, ahead);
    const wanted = order.filter((at) => !this.#has(at, "motion") && !this.#has(at, "still"));
    const next = wanted.filter((at) => !this.#failures.has(this.#key(at, "motion", this.#window)));
    const soon = new Set(next.slice(0, PARALLEL).map((at) => this.#key(at, "motion", this.#window)));
    soon.add(this.#key(this.#index, "still", this.#window));
    for (const [key, flight] of this.#flights) {
      if (soon.has(key)) continue;
      flight.abort.abort();
      this.#flights.delete(key);
    }
    for (const at of next.slice(0, PARALLEL)) this.#fetch(at, "motion");
  }

  #fetch(index: number, tier: Tier): void {
    const slice = this.#slices[index];
    const window = this.#window;
    const key = this.#key(index, tier, window);
    if (!slice || this.#isDenied || this.#flights.has(key) || this.#pictures.has(key)) return;
    const abort = new AbortController();
    this.#flights.set(key, { index, tier, abort });
    const accept = tier === "still" ? "image/png" : "image/jpeg";
    const url = this.#options.urlOf(slice) + this.#query(slice, tier, window);
    this.#options.fetchPicture(url, accept, abort.signal).then(
      (rendered) => {
        if (this.#flights.get(key)?.abort !== abort) return;
        this.#flights.delete(key);
        this.#pictures.set(key, rendered, rendered.blob.size);
        this.#lastWindow.set(index, window);
        this.#options.onArrival(index);
        this.#plan();
      },
      (error: unknown) => {
        if (this.#flights.get(key)?.abort !== abort) return;
        this.#flights.delete(key);
        this.#isDenied ||= error instanceof Problem && (error.status === 401 || error.status === 403);
        this.#failures.set(this.#key(index, "motion", window), error);
        this.#options.onArrival(index);
        this.#plan();
      },
    );
  }

  #query(slice: Slice, tier: Tier, window: VoiWindow | null): string {
    const query: string[] = [];
    if (window) query.push(`window=${window.center},${window.width},${functionOf(window)}`);
    if (tier === "motion") {
      query.push(`quality=${MOTION_QUALITY}`);
      const { columns, rows } = slice.instance;
      if (this.#scale < 1)
        query.push(`viewport=${Math.ceil(columns * this.#scale)},${Math.ceil(rows * this.#scale)}`);
    }
    return query.length > 0 ? `?${query.join("&")}` : "";
  }

  #has(index: number, tier: Tier): boolean {
    return this.#pictures.has(this.#key(index, tier, this.#window));
  }

  #key(index: number, tier: Tier, window: VoiWindow | null): string {
    return `${index}/${tier === "still" ? "png" : `jpeg${this.#scale}`}/${nameOf(window)}`;
  }

  async #decode(key: string): Promise<Decoded | null> {
    const rendered = this.#pictures.get(key);
    if (!rendered) return null;
    try {
      const decoded = { bitmap: await this.#options.decode(rendered.blob), window: rendered.window };
      this.#decoded.set(key, decoded, 1);
      return decoded;
    } catch {
      this.#pictures.delete(key);
      this.#failures.set(this.#key(this.#index, "motion", this.#window), UNREADABLE);
      return null;
    }
  }
}

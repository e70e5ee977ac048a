import { Lru } from "./lru";
import { type Frame, FrameFlag, mimeOf, type State } from "./protocol.gen";
import { lookOf, moveTo, placeOf, roundPlace } from "./state-key";

/** A frame with the state that it shows. */
export interface Held {
  id: string;
  frame: Frame;
  state: State;
}

export type Decode = (blob: Blob) => Promise<ImageBitmap>;

export interface CacheBounds {
  /** Of encoded frames. */
  encodedBytes: number;
  /** Of decoded pictures, 4 bytes a pixel. */
  decodedBytes: number;
}

/** How much of the source a frame shows, per pixel of it; more is better. */
function worthOf({ frame, state }: Held): number {
  const exact = frame.flags & FrameFlag.LOSSLESS ? 10 : 0;
  const across = state.kind === "stack" ? frame.region[2] : frame.width;
  return exact + frame.tier + Math.min(1, frame.width / Math.max(1, across));
}

const isPart = ({ state }: Held): boolean => state.kind === "stack" && state.region !== null;

/**
 * Frames that were seen or fetched ahead, the least recently used leaving first: encoded for as
 * long as they fit, decoded the few around the place looked at.
 */
export class FrameCache {
  #frames: Lru<Held>;
  #bitmaps: Lru<ImageBitmap>;
  #decoding = new Map<string, Promise<ImageBitmap | null>>();
  /** Pictures on screens, by how many; they are closed when the last screen lets go. */
  #pins = new Map<string, number>();
  #loose = new Map<string, ImageBitmap>();
  #decode: Decode;
  #count = 0;

  constructor(decode: Decode, bounds: CacheBounds) {
    this.#decode = decode;
    this.#frames = new Lru<Held>(bounds.encodedBytes);
    this.#bitmaps = new Lru<ImageBitmap>(bounds.decodedBytes, (bitmap, id) => {
      if (this.#pins.has(id)) this.#loose.set(id, bitmap);
      else bitmap.close();
    });
  }

  /** Keep a frame unless a better one of the same is kept; returns what is kept. */
  keep(frame: Frame, asked: State): Held {
    this.#count += 1;
    const held = { id: String(this.#count), frame, state: moveTo(asked, frame.place) };
    if (asked.kind === "volume") return held;
    const key = this.#key(held.state, isPart(held));
    const former = this.#frames.get(key);
    const isSamePart = !former || !isPart(held) || sameRegion(former.frame, frame);
    if (former && isSamePart && worthOf(former) > worthOf(held)) return former;
    this.#frames.set(key, held, frame.payload.byteLength + 256);
    return held;
  }

  /** The whole picture of a state's place, and the part of it that was asked for last. */
  find(state: State): { whole: Held | null; part: Held | null } {
    if (state.kind === "volume") return { whole: null, part: null };
    return {
      whole: this.#frames.get(this.#key(state, false)) ?? null,
      part: this.#frames.get(this.#key(state, true)) ?? null,
    };
  }

  /** The picture that answers a state as it is asked, or null. */
  answer(state: State): Held | null {
    const { whole, part } = this.find(state);
    if (state.kind !== "stack" || !state.region) return whole;
    return part?.state.kind === "stack" && covers(part.frame.region, state.region) ? part : null;
  }

  /** How good the kept picture of a state is, -1 where there is none. Tier 2 stands for all that the view shows. */
  tierOf(state: State): number {
    const held = this.answer(state);
    if (!held) return -1;
    const { tier, flags, width, region } = held.frame;
    if (flags & FrameFlag.LOSSLESS) return tier;
    const wanted = state.kind === "stack" ? Math.min(state.size[0], region[2]) : width;
    const isWhole = (flags & FrameFlag.SETTLED) !== 0 && width >= wanted * 0.95;
    return isWhole ? tier : Math.min(tier, 1);
  }

  has(state: State): boolean {
    return this.#frames.has(this.#key(state, false)) || this.#frames.has(this.#key(state, true));
  }

  /** A picture decoded before, at once. */
  ready({ id }: Held): ImageBitmap | null {
    return this.#bitmaps.get(id) ?? this.#loose.get(id) ?? null;
  }

  /** Decode off the main thread; null where the bytes are no picture. */
  async bitmap(held: Held): Promise<ImageBitmap | null> {
    return this.ready(held) ?? (await (this.#decoding.get(held.id) ?? this.#start(held)));
  }

  /** A screen shows this picture: it stays whole until `unpin`. */
  pin({ id }: Held): void {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
  }

  unpin({ id, state }: Held): void {
    const left = (this.#pins.get(id) ?? 1) - 1;
    if (left > 0) {
      this.#pins.set(id, left);
      return;
    }
    this.#pins.delete(id);
    this.#loose.get(id)?.close();
    this.#loose.delete(id);
    // A volume's picture is never asked for again: no other has quite the same eye.
    if (state.kind === "volume") this.#bitmaps.delete(id);
  }

  /** Nothing is on a screen: what was decoded may go, what was fetched stays. */
  rest(): void {
    this.#bitmaps.clear();
  }

  clear(): void {
    this.#frames.clear();
    this.#bitmaps.clear();
  }

  #start({ id, frame }: Held): Promise<ImageBitmap | null> {
    const decoded = this.#decode(new Blob([frame.payload], { type: mimeOf(frame) })).then(
      (bitmap) => {
        this.#bitmaps.set(id, bitmap, frame.width * frame.height * 4);
        return bitmap;
      },
      () => null,
    );
    this.#decoding.set(id, decoded);
    void decoded.finally(() => this.#decoding.delete(id));
    return decoded;
  }

  #key(state: State, part: boolean): string {
    return `${lookOf(state)}@${roundPlace(placeOf(state))}${part ? "/part" : ""}`;
  }
}

type Region = readonly [number, number, number, number];

const sameRegion = (one: Frame, other: Frame): boolean =>
  one.region.every((value, at) => Math.abs(value - (other.region[at] ?? 0)) < 0.5);

/** Whether one part of a picture lies within another, to half a pixel. */
export function covers(outer: Region, inner: Region): boolean {
  const slack = 0.5;
  return (
    outer[0] <= inner[0] + slack &&
    outer[1] <= inner[1] + slack &&
    outer[0] + outer[2] >= inner[0] + inner[2] - slack &&
    outer[1] + outer[3] >= inner[1] + inner[3] - slack
  );
}

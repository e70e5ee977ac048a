import type { FrameCache, Held } from "./frame-cache";
import { type Frame, FrameFlag, type State, type View } from "./protocol.gen";
import { lookOf, moveTo, placeOf, roundPlace } from "./state-key";

/** A picture that is fit to be painted. */
export interface Shown extends Held {
  bitmap: ImageBitmap;
  /** Which of the view's states it answers, or answered when it came. */
  stateId: number;
  /** When that state was asked for, as performance.now() has it. */
  askedAt: number;
  /** It was there before it was asked for. */
  isHit: boolean;
}

export interface How {
  /** A gesture is under way. */
  moving?: boolean;
  quality?: View["quality"];
  /** Places wanted next, most wanted first. */
  prefetch?: readonly number[];
}

/** What became of a frame: painted just now, kept for later, or of no use. */
export type Fate = "painted" | "kept" | "dropped";

/** What a view needs of its connection. */
export interface ViewHost {
  readonly cache: FrameCache;
  /** The view has something new to say. */
  changed(view: StreamView): void;
  acknowledge(seq: number, fate: Fate): void;
  dropped(view: StreamView): void;
}

const STATES_KEPT = 256;
/** Prefetched frames this near to the place looked at are decoded before they are asked for. */
const DECODE_NEAR = 3;

/**
 * One view of a series: says its newest state, and has the newest picture of it. Pictures of
 * later states replace those of earlier ones, never the other way round.
 */
export class StreamView {
  readonly id: number;
  #host: ViewHost;
  #onPicture: () => void;
  #states = new Map<number, { state: State; askedAt: number }>();
  #stateId = 0;
  #state: State | null = null;
  #how: How = {};
  #wanted = "";
  #shown: Shown | null = null;
  /** Painted or not, what is not yet acknowledged of what is shown. */
  #unseen: number | null = null;
  #isDirty = false;
  #isClosed = false;

  constructor(id: number, host: ViewHost, onPicture: () => void) {
    this.id = id;
    this.#host = host;
    this.#onPicture = onPicture;
  }

  get shown(): Shown | null {
    return this.#shown;
  }

  get state(): State | null {
    return this.#state;
  }

  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** A better picture of the newest state is due. */
  get isRefining(): boolean {
    const { shown } = this;
    if (!this.#state || !shown) return this.#state !== null;
    if (!this.isCurrent) return true;
    const wanted = this.#how.quality === "lossless" ? FrameFlag.LOSSLESS : FrameFlag.SETTLED;
    return (shown.frame.flags & (wanted | FrameFlag.LOSSLESS)) === 0;
  }

  /** What is shown is of the place and look that were asked for last. */
  get isCurrent(): boolean {
    const { shown } = this;
    return shown !== null && this.#state !== null && this.#is(shown.state, this.#state, shown.stateId);
  }

  /** Ask for a state; a picture of it that is kept is shown at once. */
  set(state: State, how: How = {}): void {
    const wanted = JSON.stringify([state, how]);
    if (wanted === this.#wanted || this.#isClosed) return;
    this.#wanted = wanted;
    const isSameState = JSON.stringify(state) === JSON.stringify(this.#state);
    this.#how = how;
    if (!isSameState || this.#stateId === 0) {
      this.#state = state;
      this.#remember(state, performance.now());
      this.#showKept();
    } else {
      // Moving, quality and prefetch are parts of what is said, so they need a number of their own.
      this.#remember(state, this.#states.get(this.#stateId)?.askedAt ?? performance.now());
    }
    this.#isDirty = true;
    this.#host.changed(this);
  }

  #remember(state: State, askedAt: number): void {
    this.#stateId += 1;
    this.#states.set(this.#stateId, { state, askedAt });
    this.#states.delete(this.#stateId - STATES_KEPT);
  }

  /** The newest state as a message, or null where it was said. */
  message(): View | null {
    if (!this.#state || !this.#isDirty) return null;
    this.#isDirty = false;
    const { moving = false, quality = "auto", prefetch = [] } = this.#how;
    return {
      type: "view",
      view: this.id,
      state_id: this.#stateId,
      state: this.#state,
      moving,
      quality,
      prefetch: prefetch.filter((listed) => !this.has(this.#at(listed))),
      holds: this.#host.cache.tierOf(this.#state),
    };
  }

  /** Say it again: the pod is another one. */
  repeat(): void {
    this.#unseen = null;
    this.#isDirty = this.#state !== null;
  }

  /** Whether a picture of this place, as the newest state looks, is kept. */
  has(place: number): boolean {
    return this.#state !== null && this.#host.cache.has(moveTo(this.#state, place));
  }

  take(frame: Frame): void {
    const asked = this.#states.get(frame.stateId)?.state;
    if (!asked || this.#isClosed) {
      this.#host.acknowledge(frame.seq, "dropped");
      return;
    }
    const held = this.#host.cache.keep(frame, asked);
    if (frame.flags & FrameFlag.PREFETCHED) {
      this.#host.acknowledge(frame.seq, "kept");
      const isWanted = this.#state !== null && this.#is(held.state, this.#state, frame.stateId);
      if (isWanted && !this.isCurrent) void this.#show(held, this.#stateId, false, null);
      else if (this.#isNear(held)) void this.#host.cache.bitmap(held);
      this.#onPicture();
      return;
    }
    void this.#show(held, frame.stateId, false, frame.seq);
  }

  /** The picture was painted, in this animation frame; acknowledged once. */
  painted(): void {
    if (this.#unseen === null) return;
    this.#host.acknowledge(this.#unseen, "painted");
    this.#unseen = null;
  }

  /** What was shown may not be shown any longer. */
  forget(): void {
    this.#unseen = null;
    if (this.#shown) this.#host.cache.unpin(this.#shown);
    this.#shown = null;
    this.#onPicture();
  }

  /** The view leaves the screen. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#skip();
    if (this.#shown) this.#host.cache.unpin(this.#shown);
    this.#shown = null;
    this.#host.dropped(this);
  }

  #is(state: State, other: State, stateId: number): boolean {
    if (state.kind === "volume" || other.kind === "volume")
      return JSON.stringify(this.#states.get(stateId)?.state) === JSON.stringify(this.#state);
    if (lookOf(state) !== lookOf(other)) return false;
    return roundPlace(placeOf(state)) === roundPlace(placeOf(other));
  }

  #isNear({ frame, state }: Held): boolean {
    if (!this.#state || state.kind === "volume") return false;
    const near = (this.#how.prefetch ?? []).slice(0, DECODE_NEAR + 1);
    return near.some(
      (place) => roundPlace(placeOf(moveTo(state, frame.place))) === roundPlace(this.#at(place)),
    );
  }

  /** The place that a number of the prefetch list stands for. */
  #at(listed: number): number {
    return this.#state?.kind === "plane" ? placeOf(this.#state) + listed : listed;
  }

  #showKept(): void {
    if (!this.#state) return;
    const { whole, part } = this.#host.cache.find(this.#state);
    const best = this.#host.cache.answer(this.#state) ?? whole ?? part;
    if (best) void this.#show(best, this.#stateId, true, null);
  }

  async #show(held: Held, stateId: number, isHit: boolean, seq: number | null): Promise<void> {
    // Held on to from here: it must not leave the cache, and be closed, between its decoding and its showing.
    this.#host.cache.pin(held);
    const bitmap = this.#host.cache.ready(held) ?? (await this.#host.cache.bitmap(held));
    const isLate = this.#shown !== null && (stateId < this.#shown.stateId || this.#isWorse(held, stateId));
    if (!bitmap || isLate || this.#isClosed) {
      this.#host.cache.unpin(held);
      if (seq !== null) this.#host.acknowledge(seq, "dropped");
      return;
    }
    this.#skip();
    if (this.#shown) this.#host.cache.unpin(this.#shown);
    const askedAt = this.#states.get(stateId)?.askedAt ?? 0;
    this.#shown = { ...held, bitmap, stateId, askedAt, isHit };
    this.#unseen = seq;
    this.#onPicture();
  }

  /** Decoding ended in another order than sending, of the same state. */
  #isWorse(held: Held, stateId: number): boolean {
    const shown = this.#shown;
    if (shown?.stateId !== stateId || shown.isHit) return false;
    return Number(held.id) < Number(shown.id);
  }

  #skip(): void {
    if (this.#unseen !== null) this.#host.acknowledge(this.#unseen, "dropped");
    this.#unseen = null;
  }
}

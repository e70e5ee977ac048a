/** What would be played. */
export interface Playable {
  seriesUid: string;
  /** For how long its images ask to be shown; null where they do not say. */
  frameTimeMs: number | null;
}

export interface CineParts {
  playable: () => Playable;
  /** Show the next image. */
  step: () => void;
  onChange: () => void;
}

/** Images a second where the recording does not say. */
export const DEFAULT_SPEED = 10;
export const SPEEDS: readonly number[] = [1, 2, 5, 10, 15, 20, 25, 30, 60];
const SLOWEST = 1;
const FASTEST = 60;

const bounded = (speed: number): number => Math.min(FASTEST, Math.max(SLOWEST, speed));

/** Plays a series, as fast as it was recorded or as its reader chose, until it is stopped. */
export class Cine {
  #parts: CineParts;
  #chosen = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = 0;

  constructor(parts: CineParts) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#timer !== undefined;
  }

  get framesPerSecond(): number {
    const { seriesUid, frameTimeMs } = this.#parts.playable();
    const own = frameTimeMs ? Math.round(10_000 / frameTimeMs) / 10 : DEFAULT_SPEED;
    return this.#chosen.get(seriesUid) ?? bounded(own);
  }

  play(): void {
    this.#due = performance.now();
    this.#wait();
    this.#parts.onChange();
  }

  stop(): void {
    if (!this.isRunning) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#parts.onChange();
  }

  toggle(): void {
    if (this.isRunning) this.stop();
    else this.play();
  }

  setSpeed(framesPerSecond: number): void {
    this.#chosen.set(this.#parts.playable().seriesUid, bounded(framesPerSecond));
    if (this.isRunning) this.play();
    else this.#parts.onChange();
  }

  /** The next speed of the list. */
  changeSpeed(by: 1 | -1): void {
    const { framesPerSecond: now } = this;
    const next = by > 0 ? SPEEDS.find((speed) => speed > now) : SPEEDS.findLast((speed) => speed < now);
    if (next) this.setSpeed(next);
  }

  /** The speed may become known while it plays, so that each image is timed anew; what one came late, the next makes up. */
  #wait(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    const period = 1000 / this.framesPerSecond;
    this.#due = Math.max(this.#due + period, now);
    this.#timer = setTimeout(() => {
      this.#parts.step();
      if (this.isRunning) this.#wait();
    }, this.#due - now);
  }
}

/** Plays a stack: one step a tick, until it is stopped. */
export class Cine {
  framesPerSecond: number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #step: () => void;
  #onChange: () => void;

  constructor(step: () => void, onChange: () => void, framesPerSecond = DEFAULT_SPEED) {
    this.#step = step;
    this.#onChange = onChange;
    this.framesPerSecond = framesPerSecond;
  }

  get isRunning(): boolean {
    return this.#timer !== undefined;
  }

  play(): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(this.#step, 1000 / this.framesPerSecond);
    this.#onChange();
  }

  stop(): void {
    if (!this.isRunning) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#onChange();
  }

  toggle(): void {
    if (this.isRunning) this.stop();
    else this.play();
  }

  setSpeed(framesPerSecond: number): void {
    this.framesPerSecond = Math.min(SPEEDS.at(-1) ?? 60, Math.max(1, framesPerSecond));
    if (this.isRunning) this.play();
    else this.#onChange();
  }
}

/** Frames a second where the recording does not say. */
export const DEFAULT_SPEED = 10;
export const SPEEDS: readonly number[] = [1, 2, 5, 10, 15, 20, 25, 30, 60];

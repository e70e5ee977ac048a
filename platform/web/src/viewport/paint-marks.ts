import { FrameFlag } from "../transport/protocol.gen";
import type { Shown } from "../transport/stream-view";

const NAME = "gantry:paint";
const KEPT = 1000;

/**
 * One `PerformanceMeasure` named `gantry:paint` for each picture of the stream when it is
 * painted, from the input that led to it. For benchmarks; costs nothing that a reader notices.
 */
export class PaintMarks {
  #inputs: { at: number }[] = [];
  #last = 0;
  #painted = "";
  #count = 0;

  input(timeStamp: number): void {
    this.#last = timeStamp;
    this.#inputs.push({ at: timeStamp });
    if (this.#inputs.length > 64) this.#inputs.shift();
  }

  painted({ frame, stateId, isHit, askedAt }: Shown, mode: string): void {
    const name = `${frame.seq}/${stateId}`;
    if (name === this.#painted) return;
    this.#painted = name;
    const isSettled = (frame.flags & FrameFlag.SETTLED) !== 0;
    // The newest input that was before the state was asked for is what led to it.
    const cause = this.#inputs.findLast(({ at }) => at <= askedAt)?.at ?? this.#last;
    const end = performance.now();
    this.#count += 1;
    if (this.#count % KEPT === 0) performance.clearMeasures(NAME);
    performance.measure(NAME, {
      start: Math.min(cause || askedAt, end),
      end,
      detail: {
        view: frame.view,
        mode,
        stateId,
        place: frame.place,
        tier: frame.tier,
        width: frame.width,
        height: frame.height,
        bytes: frame.payload.byteLength,
        isPrefetched: isHit && (frame.flags & FrameFlag.PREFETCHED) !== 0,
        isHit,
        isSettled,
        isLossless: (frame.flags & FrameFlag.LOSSLESS) !== 0,
      },
    });
  }
}

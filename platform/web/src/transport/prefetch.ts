import { MAX_PREFETCH } from "./protocol.gen";

export interface LinkSpeed {
  /** Measured by the pod; null before it is known. */
  goodputKbitS: number | null;
  wantsLittle: boolean;
}

/** How far ahead to fetch: a slow link serves the slice looked at first. */
export function aheadOf({ goodputKbitS, wantsLittle }: LinkSpeed): number {
  if (wantsLittle) return 8;
  if (goodputKbitS === null) return 16;
  if (goodputKbitS < 1_500) return 16;
  return goodputKbitS < 6_000 ? 32 : MAX_PREFETCH;
}

/** Remembers which way the reader scrolls, and lists what to fetch next. */
export class PrefetchPlanner {
  #last: number | null = null;
  #direction: 1 | -1 = 1;

  /**
   * Places wanted next, most wanted first: two on either side, then on in the direction of
   * scrolling; turned round when the reader turns round. `has` are at hand already.
   */
  plan(index: number, count: number, ahead: number, has: (index: number) => boolean): number[] {
    if (this.#last !== null && index !== this.#last) this.#direction = index > this.#last ? 1 : -1;
    this.#last = index;
    const direction = this.#direction;
    const offsets = [1, -1, 2, -2];
    for (let step = 3; step <= ahead; step += 1) offsets.push(step);
    return offsets
      .map((offset) => index + offset * direction)
      .filter((at) => at >= 0 && at < count && !has(at))
      .slice(0, MAX_PREFETCH);
  }
}

export function linkSpeed(goodputKbitS: number | undefined): LinkSpeed {
  const { connection } = navigator as Navigator & { connection?: { saveData?: boolean } };
  return { goodputKbitS: goodputKbitS ?? null, wantsLittle: connection?.saveData ?? false };
}

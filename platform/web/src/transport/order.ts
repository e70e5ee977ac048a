/**
 * Which slices to fetch, first to last: the one asked for, two neighbours on either side, then
 * on in the direction of scrolling.
 */
export function prefetchOrder(index: number, direction: 1 | -1, count: number, ahead: number): number[] {
  const near = [0, direction, -direction, 2 * direction, -2 * direction];
  const far = Array.from({ length: Math.max(0, ahead - 2) }, (_, step) => (step + 3) * direction);
  return [...near, ...far].map((offset) => index + offset).filter((at) => at >= 0 && at < count);
}

/** Runs of loaded slices as [first, last] pairs, for the bar beside the image. */
export function loadedRuns(loaded: readonly boolean[]): [number, number][] {
  const runs: [number, number][] = [];
  loaded.forEach((isLoaded, at) => {
    const last = runs.at(-1);
    if (!isLoaded) return;
    if (last && last[1] === at - 1) last[1] = at;
    else runs.push([at, at]);
  });
  return runs;
}

/** Which slice lies where in the patient: what linked scrolling and the crosshair go by. */
import type { Series } from "../api/types";
import { slicesOf } from "../transport/stack";
import { cross, dot, type Plane, type ShownPlane, type Vec3 } from "../viewport/lps";
import { planeOf } from "../viewport/slice-plane";

/** Planes that differ by less than 10° are scrolled as one. */
const PARALLEL = Math.cos((10 * Math.PI) / 180);

export const normalOf = ({ row, column }: Plane): Vec3 => cross(row, column);

export const areParallel = (one: Plane, other: Plane): boolean =>
  Math.abs(dot(normalOf(one), normalOf(other))) >= PARALLEL;

/** Whether positions of one mean the same place in the other. Without a frame of reference nothing does. */
export const shareFrame = (one: Series | null, other: Series | null): boolean =>
  Boolean(one?.frame_of_reference_uid) && one?.frame_of_reference_uid === other?.frame_of_reference_uid;

/** A slice found by its place; `isOutside`: the place lies beyond the series, this end is the nearest. */
export interface Found {
  index: number;
  isOutside: boolean;
}

interface Place {
  index: number;
  plane: ShownPlane;
}

const known = new WeakMap<Series, readonly Place[]>();

/** The slices that have a place; reckoned once a series, as it is asked for with every step of the wheel. */
function placesOf(series: Series): readonly Place[] {
  let places = known.get(series);
  if (!places) {
    places = slicesOf(series).flatMap((slice, index) => {
      const plane = planeOf(slice);
      return plane ? [{ index, plane }] : [];
    });
    known.set(series, places);
  }
  return places;
}

/**
 * The slice of a series nearest to a point, among those parallel to `like` (else to its first); null
 * where there is none. A scout holds slices of several directions.
 */
export function sliceAt(series: Series, point: Vec3, like?: Plane): Found | null {
  const places = placesOf(series);
  const model = like ?? places[0]?.plane;
  if (!model) return null;
  const normal = normalOf(model);
  const at = dot(point, normal);
  const depths = places
    .filter(({ plane }) => areParallel(plane, model))
    .map(({ index, plane }) => ({ index, depth: dot(plane.center, normal) }));
  const [first, ...rest] = depths;
  if (!first) return null;
  const nearest = rest.reduce(
    (best, one) => (Math.abs(one.depth - at) < Math.abs(best.depth - at) ? one : best),
    first,
  );
  return { index: nearest.index, isOutside: Math.abs(nearest.depth - at) > usualStep(depths) * 0.75 };
}

/** The usual distance of neighbouring slices, mm. */
function usualStep(depths: readonly { depth: number }[]): number {
  const sorted = depths.map(({ depth }) => depth).sort((one, other) => one - other);
  const gaps = sorted.slice(1).map((depth, at) => depth - (sorted[at] as number));
  gaps.sort((one, other) => one - other);
  return Math.max(1, gaps[Math.floor(gaps.length / 2)] ?? 5);
}

/** The slice of `target` at the place of a slice of `source`: only in one frame of reference, and for parallel planes. */
export function linkedSlice(source: Series, index: number, target: Series): Found | null {
  if (!shareFrame(source, target)) return null;
  const plane = planeOf(slicesOf(source)[index]);
  return plane && sliceAt(target, plane.center, plane);
}

/** The middle of the slice that is looked at, to begin with in other views of the patient. */
export const middleOf = (series: Series, index: number): Vec3 | null =>
  planeOf(slicesOf(series)[index])?.center ?? null;

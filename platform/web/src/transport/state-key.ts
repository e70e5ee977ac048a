import type { PlaneState, State, Voi } from "./protocol.gen";

type Vector = readonly [number, number, number];

const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export const normalOf = ({ row_lps: r, column_lps: c }: PlaneState): Vector => [
  r[1] * c[2] - r[2] * c[1],
  r[2] * c[0] - r[0] * c[2],
  r[0] * c[1] - r[1] * c[0],
];

/** Where in its stack a state is: frame number; a plane's distance from the origin along its normal, mm. */
export function placeOf(state: State): number {
  if (state.kind === "stack") return state.frame;
  if (state.kind === "plane") return roundPlace(dot(state.center_lps_mm, normalOf(state)));
  return 0;
}

/** Distances travel as numbers that were computed on both sides: a micrometre apart is the same place. */
export const roundPlace = (place: number): number => Math.round(place * 1000) / 1000;

/** The same state at another place. */
export function moveTo(state: State, place: number): State {
  if (state.kind === "stack") return { ...state, frame: Math.round(place) };
  if (state.kind !== "plane") return state;
  const normal = normalOf(state);
  const by = place - dot(state.center_lps_mm, normal);
  const [x, y, z] = state.center_lps_mm;
  return { ...state, center_lps_mm: [x + normal[0] * by, y + normal[1] * by, z + normal[2] * by] };
}

const voiKey = ({ kind, center, width, function: curve, index }: Voi): string =>
  kind === "window" ? `${center},${width},${curve}` : kind === "lut" ? `lut${index}` : kind;

const short = (numbers: readonly number[]): string => numbers.map((value) => value.toFixed(4)).join(",");

/**
 * What two pictures of the same place must share to stand for each other. The part and the size
 * of a stack's picture are left out: they say how good it is, not what it shows.
 */
export function lookOf(state: State): string {
  if (state.kind === "stack") return `s/${voiKey(state.voi)}/${state.invert}`;
  if (state.kind === "volume") return "v";
  const { row_lps, column_lps, slab_mm, slab_mode, voi, invert, interpolation, segments } = state;
  const across = dot(state.center_lps_mm, row_lps);
  const down = dot(state.center_lps_mm, column_lps);
  const where = short([...row_lps, ...column_lps, across, down, state.spacing_mm, ...state.size]);
  return `p/${where}/${slab_mm}${slab_mode}/${voiKey(voi)}/${invert}/${interpolation}/${segments.join()}`;
}

/** Vectors and planes in the patient's LPS frame, mm. */
export type Vec3 = readonly [number, number, number];

/** A picture's plane: its middle, and unit vectors along a row (to the right) and a column (down). */
export interface Plane {
  center: Vec3;
  row: Vec3;
  column: Vec3;
}

/** What a viewport shows of a plane. */
export interface ShownPlane extends Plane {
  halfWidthMm: number;
  halfHeightMm: number;
  frameOfReferenceUid: string;
}

/** A plane that another viewport shows; drawn as a line where it cuts this one, within one frame of reference. */
export interface ReferencePlane extends ShownPlane {
  id: string;
  color: string;
  /** Whether the reader may turn it by the ends of its line. */
  isTurnable?: boolean;
}

export const add = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a: Vec3, by: number): Vec3 => [a[0] * by, a[1] * by, a[2] * by];
export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];
export const length = (a: Vec3): number => Math.hypot(a[0], a[1], a[2]);

/** Unit vector; throws where there is no direction. */
export function unit(a: Vec3): Vec3 {
  const size = length(a);
  if (!(size > 1e-12)) throw new RangeError("A vector without length has no direction.");
  return scale(a, 1 / size);
}

/** Turn a vector about an axis of unit length, right-handed (Rodrigues). */
export function turn(a: Vec3, axis: Vec3, radians: number): Vec3 {
  const cos = Math.cos(radians);
  return add(
    add(scale(a, cos), scale(cross(axis, a), Math.sin(radians))),
    scale(axis, dot(axis, a) * (1 - cos)),
  );
}

/** Where a slice lies in the patient, as its image says. */
import { type Slice, spacingOf } from "../transport/stack";
import type { Matrix } from "./geometry";
import { add, type ShownPlane, scale, type Vec3 } from "./lps";

/** A slice's plane, its first pixel, and the steps from pixel to pixel. */
export interface SlicePlane extends ShownPlane {
  origin: Vec3;
  alongRow: Vec3;
  alongColumn: Vec3;
}

/** Pixels of a slice and how far they lie apart; square ones where it does not say. */
export function matrixOf(slice: Slice): Matrix {
  const { columns, rows } = slice.instance;
  const [rowSpacing, columnSpacing] = spacingOf(slice) ?? [1, 1];
  return { columns, rows, rowSpacing, columnSpacing };
}

const isVector = (parts: readonly number[] | null, length: number): parts is number[] =>
  parts?.length === length && parts.every(Number.isFinite);

/** A slice's place in the patient; null where it does not say. */
export function planeOf(slice: Slice | undefined, frameOfReferenceUid = ""): SlicePlane | null {
  if (!slice) return null;
  const { image_position_patient, image_orientation_patient, rows, columns, frames } = slice.instance;
  // The frames of one object have places of their own, which are not known here.
  if (!isVector(image_position_patient, 3) || !isVector(image_orientation_patient, 6) || frames > 1)
    return null;
  // Pixel Spacing is between rows first, then between columns (PS3.3 10.7.1.3).
  const [rowSpacing, columnSpacing] = spacingOf(slice) ?? [0, 0];
  const [x = 0, y = 0, z = 0] = image_position_patient;
  const [rx = 0, ry = 0, rz = 0, cx = 0, cy = 0, cz = 0] = image_orientation_patient;
  const row: Vec3 = [rx, ry, rz];
  const column: Vec3 = [cx, cy, cz];
  // The position is the first pixel's centre (PS3.3 C.7.6.2.1.1).
  const origin: Vec3 = [x, y, z];
  const alongRow = scale(row, columnSpacing);
  const alongColumn = scale(column, rowSpacing);
  const toMiddle = add(scale(alongRow, (columns - 1) / 2), scale(alongColumn, (rows - 1) / 2));
  return {
    center: add(origin, toMiddle),
    row,
    column,
    halfWidthMm: (columns / 2) * columnSpacing,
    halfHeightMm: (rows / 2) * rowSpacing,
    frameOfReferenceUid,
    origin,
    alongRow,
    alongColumn,
  };
}

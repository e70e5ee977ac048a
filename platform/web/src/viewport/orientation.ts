import type { Turn } from "./modes";

/** Letters at the four edges of the picture: where each edge lies in the patient. */
export interface EdgeLetters {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

const AXES: readonly (readonly [string, string])[] = [
  ["L", "R"],
  ["P", "A"],
  ["H", "F"],
];

/** Below this share of the main axis a component is a positioning accident, not an orientation. */
const NOTABLE = 0.26;

/**
 * Direction of a vector in the patient (LPS) as letters, main axis first: "L", "AH".
 * DICOM PS3.3 C.7.6.1.1.1: A, P, R, L, H (head), F (foot).
 */
export function directionLetters(vector: readonly number[]): string {
  return AXES.map(([positive, negative], axis) => {
    const part = vector[axis] ?? 0;
    return { letter: part > 0 ? positive : negative, size: Math.abs(part) };
  })
    .filter(({ size }) => size >= NOTABLE)
    .sort((one, other) => other.size - one.size)
    .map(({ letter }) => letter)
    .join("");
}

const opposite = (vector: readonly number[]): number[] => vector.map((part) => -part);

/** Edge letters from Image Orientation (Patient), or null where the picture has none. */
export function edgeLetters(orientation: readonly number[] | null): EdgeLetters | null {
  if (orientation?.length !== 6) return null;
  const alongRow = orientation.slice(0, 3);
  const alongColumn = orientation.slice(3, 6);
  return {
    left: directionLetters(opposite(alongRow)),
    right: directionLetters(alongRow),
    top: directionLetters(opposite(alongColumn)),
    bottom: directionLetters(alongColumn),
  };
}

/** Edge letters of a picture that was mirrored left to right and then turned clockwise. */
export function turnLetters(letters: EdgeLetters, rotation: Turn, isFlipped: boolean): EdgeLetters {
  let { left, right, top, bottom } = letters;
  if (isFlipped) [left, right] = [right, left];
  for (let turned = 0; turned < rotation; turned += 90)
    [left, top, right, bottom] = [bottom, left, top, right];
  return { left, right, top, bottom };
}

/** The main plane of a picture, in words. */
export function planeName(orientation: readonly number[] | null): string {
  if (orientation?.length !== 6) return "";
  const [rx = 0, ry = 0, rz = 0, cx = 0, cy = 0, cz = 0] = orientation;
  const normal = [ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx].map(Math.abs);
  const largest = Math.max(...normal);
  if (largest < 0.9) return "Oblique";
  return ["Sagittal", "Coronal", "Axial"][normal.indexOf(largest)] ?? "";
}

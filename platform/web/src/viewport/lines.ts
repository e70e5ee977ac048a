import type { Point } from "./geometry";
import { add, cross, dot, length, type Plane, type ShownPlane, scale, subtract, type Vec3 } from "./lps";

export interface Line {
  from: Point;
  to: Point;
  color: string;
}

/** Planes that meet at a smaller angle than this have no line worth drawing: sine of 3°. */
const PARALLEL = 0.052;

const normalOf = ({ row, column }: Plane): Vec3 => cross(row, column);

/**
 * Where another plane cuts this one: a segment no longer than either, in LPS mm. Null where they
 * are parallel, do not meet within what is shown, or lie in different frames of reference:
 * there, places that look alike are not the same (cornerstone3D issue 1501).
 */
export function cutOf(plane: ShownPlane, other: ShownPlane): readonly [Vec3, Vec3] | null {
  if (!plane.frameOfReferenceUid || plane.frameOfReferenceUid !== other.frameOfReferenceUid) return null;
  const one = normalOf(plane);
  const two = normalOf(other);
  const across = cross(one, two);
  const sine = length(across);
  if (sine < PARALLEL) return null;
  const direction = scale(across, 1 / sine);
  // The point of both planes that is nearest to the middle of this one.
  const inPlane = cross(direction, one);
  const distance = dot(subtract(other.center, plane.center), two) / dot(inPlane, two);
  const point = add(plane.center, scale(inPlane, distance));
  let low = -Infinity;
  let high = Infinity;
  for (const { center, row, column, halfWidthMm, halfHeightMm } of [plane, other]) {
    for (const [axis, half] of [
      [row, halfWidthMm],
      [column, halfHeightMm],
    ] as const) {
      const at = dot(subtract(point, center), axis);
      const slope = dot(direction, axis);
      if (Math.abs(slope) < 1e-9) {
        if (Math.abs(at) > half) return null;
        continue;
      }
      const ends = [(-half - at) / slope, (half - at) / slope];
      low = Math.max(low, Math.min(...ends));
      high = Math.min(high, Math.max(...ends));
    }
  }
  return low < high ? [add(point, scale(direction, low)), add(point, scale(direction, high))] : null;
}

export function drawLines(context: CanvasRenderingContext2D, lines: readonly Line[], ratio: number): void {
  for (const { from, to, color } of lines) {
    for (const [style, width] of [
      ["rgb(0 0 0 / 60%)", 3.5],
      [color, 1.5],
    ] as const) {
      context.strokeStyle = style;
      context.lineWidth = width * ratio;
      context.beginPath();
      context.moveTo(from.x * ratio, from.y * ratio);
      context.lineTo(to.x * ratio, to.y * ratio);
      context.stroke();
    }
  }
}

/** A cross that leaves the place itself free. */
export function drawCrosshair(context: CanvasRenderingContext2D, at: Point, ratio: number): void {
  const [gap, arm] = [5, 16];
  const lines: Line[] = [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ].map(([x = 0, y = 0]) => ({
    from: { x: at.x + x * gap, y: at.y + y * gap },
    to: { x: at.x + x * arm, y: at.y + y * arm },
    color: "#ffd54a",
  }));
  drawLines(context, lines, ratio);
}

/** How far a point of the screen is from a line between two others. */
export function distanceToLine(at: Point, { from, to }: Line): { distance: number; along: number } {
  const [x, y] = [to.x - from.x, to.y - from.y];
  const size = x * x + y * y;
  const along = size > 0 ? Math.min(1, Math.max(0, ((at.x - from.x) * x + (at.y - from.y) * y) / size)) : 0;
  return { distance: Math.hypot(at.x - from.x - along * x, at.y - from.y - along * y), along };
}

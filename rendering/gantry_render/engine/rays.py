"""Where lines of sight run through a volume, and what is sampled on them: what all kernels that follow rays share.

Positions are voxel indices (i, j, k), centres at integers. Rays go in packets, a lane each, four pixels side by side.
Volumes have fewer than 2**31 voxels.
"""

from typing import Any, Final

import numpy as np

from gantry_render.engine.bricks import SHIFT
from gantry_render.engine.jit import kernel
from gantry_render.engine.lanes import (
    WIDTH,
    but,
    first_of,
    least,
    most,
    numbers,
    pick,
    root,
    second_of,
    take_word,
    to_floats,
    to_ints,
)

# Where numbers stand in `view` (rows of three, index space): first ray's origin and direction, and their change per
# unit to the right and up; then the low and high corner of what is shown, voxels' edges included, and of where samples
# are taken: beyond the outermost centres the value stays.
ORIGIN, ORIGIN_X, ORIGIN_Y, TOWARDS, TOWARDS_X, TOWARDS_Y, LOW, HIGH, SAMPLED_LOW, SAMPLED_HIGH = range(10)
ZERO, ONE, HALF, FAR = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1e30)
ROW: Final = 4
ROWS: Final = WIDTH // ROW
"""Pixels of a packet side by side, and one above the other."""


@kernel
def sample(  # noqa: PLR0917  # kernels take no objects
    voxels: Any, base: Any, line: Any, layer: Any, u: Any, v: Any, w: Any, mask: Any
) -> Any:
    """Interpolate between the eight voxels from `base` on."""
    word = take_word(voxels, base, mask)
    a = to_floats(first_of(word, voxels))
    a = a + u * (to_floats(second_of(word, voxels)) - a)
    word = take_word(voxels, base + line, mask)
    b = to_floats(first_of(word, voxels))
    b = b + u * (to_floats(second_of(word, voxels)) - b)
    word = take_word(voxels, base + layer, mask)
    c = to_floats(first_of(word, voxels))
    c = c + u * (to_floats(second_of(word, voxels)) - c)
    word = take_word(voxels, base + (layer + line), mask)
    d = to_floats(first_of(word, voxels))
    d = d + u * (to_floats(second_of(word, voxels)) - d)
    a = a + v * (b - a)
    c = c + v * (d - c)
    return a + w * (c - a)


@kernel
def _middle(voxels: Any, base: Any, back: Any, on: Any, u: Any, mask: Any) -> tuple[Any, Any]:
    """Return value and central difference along a row of four voxels, u beyond the second.

    `back` and `on` are flags: whether there is a voxel before the second and one after the third.
    """
    word = take_word(voxels, base - pick(back, 1, 0), mask)
    m, a = to_floats(first_of(word, voxels)), to_floats(second_of(word, voxels))
    a = pick(back, a, m)
    word = take_word(voxels, base + pick(on, 1, 0), mask)
    b, p = to_floats(first_of(word, voxels)), to_floats(second_of(word, voxels))
    b = pick(on, b, p)
    rise = b - m
    return a + u * (b - a), rise + u * (p - a - rise)


@kernel
def _pair(voxels: Any, base: Any, u: Any, mask: Any) -> Any:
    word = take_word(voxels, base, mask)
    a = to_floats(first_of(word, voxels))
    return a + u * (to_floats(second_of(word, voxels)) - a)


@kernel
def gradient(voxels: Any, x: Any, y: Any, z: Any, shape: Any, mask: Any) -> tuple[Any, Any, Any]:
    """Return the central differences at places, twice the slope per index, one-sided at the volume's faces."""
    slices, rows, columns = shape
    i, j, k = to_ints(x), to_ints(y), to_ints(z)
    u, v, w = x - to_floats(i), y - to_floats(j), z - to_floats(k)
    line, layer = columns, columns * rows
    base = (k * rows + j) * columns + i
    back, on = i > 0, i < columns - 2
    a, ax = _middle(voxels, base, back, on, u, mask)
    b, bx = _middle(voxels, base + line, back, on, u, mask)
    c, cx = _middle(voxels, base + layer, back, on, u, mask)
    d, dx = _middle(voxels, base + (layer + line), back, on, u, mask)
    ax = ax + v * (bx - ax)
    cx = cx + v * (dx - cx)
    gx = ax + w * (cx - ax)
    before, after = base - pick(j > 0, line, 0), base + pick(j < rows - 2, 2 * line, line)
    m = _pair(voxels, before, u, mask)
    p = _pair(voxels, after, u, mask)
    near = b - m
    near = near + v * (p - a - near)
    m = _pair(voxels, before + layer, u, mask)
    p = _pair(voxels, after + layer, u, mask)
    far = d - m
    far = far + v * (p - c - far)
    gy = near + w * (far - near)
    before, after = base - pick(k > 0, layer, 0), base + pick(k < slices - 2, 2 * layer, layer)
    m = _pair(voxels, before, u, mask)
    p = _pair(voxels, after, u, mask)
    near = c - m
    near = near + w * (p - a - near)
    m = _pair(voxels, before + line, u, mask)
    p = _pair(voxels, after + line, u, mask)
    far = d - m
    far = far + w * (p - b - far)
    gz = near + v * (far - near)
    return gx, gy, gz


@kernel
def span(x: Any, dx: Any, low: Any, high: Any, near: Any, far: Any) -> tuple[Any, Any, Any]:
    """Narrow rays' stretches to one axis of the box; where they enter tells the face."""
    along = most(dx, ZERO - dx) < np.float32(1e-9)
    beside = but(along, (x >= low) & (x <= high))
    divisor = pick(along, ONE, dx)
    first, second = (low - x) / divisor, (high - x) / divisor
    enter, leave = least(first, second), most(first, second)
    entered = but(enter > near, along)
    near = pick(beside, ONE, pick(entered, enter, near))
    far = pick(beside, ZERO, pick(along, far, least(far, leave)))
    return near, far, entered


@kernel
def inverse(dx: Any) -> Any:
    flat = most(dx, ZERO - dx) <= np.float32(1e-6)
    return pick(flat, np.float32(1e6), ONE / pick(flat, ONE, dx))


@kernel
def packet_rays(view: Any, height: Any, width: Any, top: Any, left: Any, spread: Any) -> Any:
    """Return origins, directions of unit depth, and by how much the rays are longer than their depth."""
    lane = numbers()
    half = np.float32(0.5 * height)
    across = (to_floats(lane & (ROW - 1)) + (np.float32(left) + HALF - np.float32(0.5 * width))) / half
    up = ONE - (to_floats(lane >> 2) + (np.float32(top) + HALF)) / half
    ox = view[ORIGIN, 0] + across * view[ORIGIN_X, 0] + up * view[ORIGIN_Y, 0]
    oy = view[ORIGIN, 1] + across * view[ORIGIN_X, 1] + up * view[ORIGIN_Y, 1]
    oz = view[ORIGIN, 2] + across * view[ORIGIN_X, 2] + up * view[ORIGIN_Y, 2]
    dx = view[TOWARDS, 0] + across * view[TOWARDS_X, 0] + up * view[TOWARDS_Y, 0]
    dy = view[TOWARDS, 1] + across * view[TOWARDS_X, 1] + up * view[TOWARDS_Y, 1]
    dz = view[TOWARDS, 2] + across * view[TOWARDS_X, 2] + up * view[TOWARDS_Y, 2]
    return ox, oy, oz, dx, dy, dz, root(ONE + spread * (across * across + up * up))


@kernel
def count_leap(  # noqa: PLR0917  # kernels take no objects
    x: Any, y: Any, z: Any, bi: Any, bj: Any, bk: Any, ix: Any, iy: Any, iz: Any, distance: Any
) -> Any:
    """Return how many steps, beyond the next, lead out of the empty bricks around one."""
    back = 1 - distance
    sx = (to_floats((bi + pick(ix > ZERO, distance, back)) << SHIFT) - x) * ix
    sy = (to_floats((bj + pick(iy > ZERO, distance, back)) << SHIFT) - y) * iy
    sz = (to_floats((bk + pick(iz > ZERO, distance, back)) << SHIFT) - z) * iz
    return to_ints(least(most(least(least(sx, sy), sz), ZERO), np.float32(1e6)))

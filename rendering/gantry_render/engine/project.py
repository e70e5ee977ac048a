"""The kernel that keeps the highest or lowest value on lines of sight."""

from typing import Any

import numpy as np

from gantry_render.engine.bricks import SHIFT
from gantry_render.engine.jit import kernel
from gantry_render.engine.lanes import (
    WIDTH,
    but,
    either,
    first_of,
    floats,
    ints,
    least,
    most,
    none,
    numbers,
    pick,
    take_word,
    to_floats,
    to_ints,
    write,
)
from gantry_render.engine.rays import (
    FAR,
    HIGH,
    LOW,
    ROW,
    ROWS,
    SAMPLED_HIGH,
    SAMPLED_LOW,
    ZERO,
    count_leap,
    inverse,
    packet_rays,
    sample,
    span,
)


@kernel
def project_band(  # noqa: PLR0917  # kernels take no objects
    voxels: Any,
    shape: Any,
    bound: Any,
    other_bound: Any,
    bricks: Any,
    is_enclosed: Any,
    enclosed_by: Any,
    sign: Any,
    view: Any,
    step_mm: Any,
    near: Any,
    spread: Any,
    first: Any,
    beyond: Any,
    values: Any,
) -> None:
    """Write the highest (sign 1) or lowest (sign -1) sample along each ray of rows `first` to `beyond`; NaN: none.

    `bound` is the bricks' highest or lowest voxel, `other_bound` the other one, flat, with room behind: bricks that
    cannot change the result are crossed in one step. If `is_enclosed`, only what lies between two samples of at least
    `enclosed_by` counts (sign -1): air around a body does not.
    """
    _, rows, columns = shape
    _, bricks_j, bricks_i = bricks
    height, width = values.shape
    line, layer = columns, columns * rows
    low_i, low_j, low_k = view[SAMPLED_LOW, 0], view[SAMPLED_LOW, 1], view[SAMPLED_LOW, 2]
    high_i, high_j, high_k = view[SAMPLED_HIGH, 0], view[SAMPLED_HIGH, 1], view[SAMPLED_HIGH, 2]
    lane = numbers()
    out = np.empty(WIDTH, np.float32)
    for top in range(first, beyond, ROWS):
        for left in range(0, width, ROW):
            ox, oy, oz, dx, dy, dz, longer = packet_rays(view, height, width, top, left, spread)
            begin, end, _ = span(ox, dx, view[LOW, 0], view[HIGH, 0], floats(near), floats(FAR))
            begin, end, _ = span(oy, dy, view[LOW, 1], view[HIGH, 1], begin, end)
            begin, end, _ = span(oz, dz, view[LOW, 2], view[HIGH, 2], begin, end)
            active = ((lane & (ROW - 1)) < width - left) & ((lane >> 2) < beyond - top) & (begin < end)
            step = step_mm / longer
            begin = pick(active, begin, ZERO)
            length = pick(active, (end - begin) / step, ZERO)
            count = to_ints(length)
            count = count + pick(to_floats(count) < length, 1, 0)
            ox, oy, oz = ox + begin * dx, oy + begin * dy, oz + begin * dz
            dx, dy, dz = dx * step, dy * step, dz * step
            ix, iy, iz = inverse(dx), inverse(dy), inverse(dz)
            best, held = floats(-FAR), floats(-FAR)
            entered = none()
            wall = sign * enclosed_by
            n = ints(0)
            while either(active):
                far = to_floats(n)
                x = least(most(ox + far * dx, low_i), high_i)
                y = least(most(oy + far * dy, low_j), high_j)
                z = least(most(oz + far * dz, low_k), high_k)
                i, j, k = to_ints(x), to_ints(y), to_ints(z)
                bi, bj, bk = i >> SHIFT, j >> SHIFT, k >> SHIFT
                brick = (bk * bricks_j + bj) * bricks_i + bi
                bounds = sign * to_floats(first_of(take_word(bound, brick, active), bound))
                counts = active & (bounds > most(best, held))
                if is_enclosed:
                    walled = sign * to_floats(first_of(take_word(other_bound, brick, active), other_bound)) <= wall
                    solid = but(active & (bounds <= wall), counts)
                    entered = entered | solid
                    best = pick(solid, most(best, held), best)
                    counts = but((counts & entered) | (active & walled), solid)
                leap = ints(0)
                rest = but(active, counts)
                if either(rest):
                    leap = pick(counts, 0, count_leap(x, y, z, bi, bj, bk, ix, iy, iz, ints(1)))
                if either(counts):
                    u, v, w = x - to_floats(i), y - to_floats(j), z - to_floats(k)
                    value = sign * sample(voxels, (k * rows + j) * columns + i, line, layer, u, v, w, counts)
                    if is_enclosed:
                        at_wall = counts & (value <= wall)
                        entered = entered | at_wall
                        held = pick(counts & entered, most(held, value), held)
                        best = pick(at_wall, most(best, held), best)
                    else:
                        best = pick(counts, most(best, value), best)
                n = n + leap + 1
                active = active & (n <= count)
            write(out, 0, best)
            for slot in range(WIDTH):
                row, column = top + (slot >> 2), left + (slot & (ROW - 1))
                if row < beyond and column < width:
                    values[row, column] = np.nan if out[slot] == -FAR else sign * out[slot]

"""The kernel that composites what lies on lines of sight, front to back.

All rays of a packet go in lockstep: they leap until each has come to a cell that shows something, then all take a step.
"""

from typing import Any, Final

import numpy as np

from gantry_render.engine.bricks import EDGE, SHIFT
from gantry_render.engine.jit import kernel
from gantry_render.engine.lanes import (
    WIDTH,
    but,
    either,
    floats,
    how_many,
    ints,
    least,
    most,
    none,
    numbers,
    pick,
    read,
    root,
    take,
    take_word,
    to_floats,
    to_ints,
    write,
)
from gantry_render.engine.rays import (
    FAR,
    HALF,
    HIGH,
    LOW,
    ONE,
    ROW,
    ROWS,
    SAMPLED_HIGH,
    SAMPLED_LOW,
    ZERO,
    count_leap,
    gradient,
    inverse,
    packet_rays,
    sample,
    span,
)
from gantry_render.engine.transfer import LEVELS

# Where numbers stand in `look`: scalars of light and sampling.
STEP, NEAR, LEVEL_LOW, LEVEL_SCALE, AMBIENT, DIFFUSE, SPECULAR, FLAT, SPREAD = range(9)
# Light left below which what lies behind is taken to look like what lies before, and the share of a pixel from which
# a step is worth a gradient of its own instead of the light on the step before.
_SPENT = np.float32(0.04)
_UNLIT = np.float32(0.015)
_UNSEEN = np.float32(1e-4)
_FACES_KEPT = 6
# Steps looked at together in bricks that show something, and how many lanes may still be looking, to four that have
# found, when the others go on.
_AHEAD: Final = 4
_WAITING: Final = 3
_INSIDE_BRICK: Final = EDGE - 1


@kernel
def _word_at(cells: Any, brick: Any, k: Any, mask: Any) -> Any:
    """Return a brick's marks from its layer of cells on."""
    return take_word(cells, (brick << 3) + ((k & _INSIDE_BRICK) << 1), mask)


@kernel
def _look(  # noqa: PLR0917  # kernels take no objects
    cells: Any,
    distances: Any,
    bricks_i: Any,
    bricks_j: Any,
    ox: Any,
    oy: Any,
    oz: Any,
    dx: Any,
    dy: Any,
    dz: Any,
    ix: Any,
    iy: Any,
    iz: Any,
    view: Any,
    n: Any,
    mask: Any,
) -> tuple[Any, Any]:
    """Return which of the next four steps show something, as bits, and how many show nothing if none does."""
    low_i, low_j, low_k = view[SAMPLED_LOW, 0], view[SAMPLED_LOW, 1], view[SAMPLED_LOW, 2]
    high_i, high_j, high_k = view[SAMPLED_HIGH, 0], view[SAMPLED_HIGH, 1], view[SAMPLED_HIGH, 2]
    far = to_floats(n)
    x = least(most(ox + far * dx, low_i), high_i)
    y = least(most(oy + far * dy, low_j), high_j)
    z = least(most(oz + far * dz, low_k), high_k)
    i, j, k = to_ints(x), to_ints(y), to_ints(z)
    bi, bj, bk = i >> SHIFT, j >> SHIFT, k >> SHIFT
    brick = (bk * bricks_j + bj) * bricks_i + bi
    distance = take_word(distances, brick, mask) & 255
    occupied = mask & (distance == 0)
    bits = ints(0)
    if either(occupied):
        cell = (j & _INSIDE_BRICK) << SHIFT | i & _INSIDE_BRICK
        bits = _word_at(cells, brick, k, occupied) >> cell & 1
        for ahead in range(1, _AHEAD):
            more = far + np.float32(ahead)
            i = to_ints(least(most(ox + more * dx, low_i), high_i))
            j = to_ints(least(most(oy + more * dy, low_j), high_j))
            k = to_ints(least(most(oz + more * dz, low_k), high_k))
            brick = ((k >> SHIFT) * bricks_j + (j >> SHIFT)) * bricks_i + (i >> SHIFT)
            cell = (j & _INSIDE_BRICK) << SHIFT | i & _INSIDE_BRICK
            bits = bits | (_word_at(cells, brick, k, occupied) >> cell & 1) << ahead
    return bits, pick(distance == 0, _AHEAD, count_leap(x, y, z, bi, bj, bk, ix, iy, iz, distance) + 1)


@kernel
def cast_band(  # noqa: C901, PLR0917  # one loop, all in registers; kernels take no objects
    voxels: Any,
    shape: Any,
    distances: Any,
    cells: Any,
    bricks: Any,
    view: Any,
    look: Any,
    normal_from: Any,
    light: Any,
    gloss: Any,
    alpha_table: Any,
    light_table: Any,
    has_labels: Any,
    soft: Any,
    labels: Any,
    label_rgba: Any,
    has_mesh: Any,
    mesh_rgba: Any,
    mesh_depth: Any,
    background: Any,
    first: Any,
    beyond: Any,
    picture: Any,
    depth_mm: Any,
) -> None:
    """Composite rows `first` to `beyond` of a picture, front to back.

    Parameters
    ----------
    voxels, shape
        Flat int16 and (slices, rows, columns).
    distances, cells, bricks
        Bricks to the nearest visible brick, flat uint8; bits of the cells that show something, flat uint8, eight a
        brick; each with three bytes of room behind; and the bricks' (slices, rows, columns).
    view, look, normal_from, light, gloss
        Rays, scalars, the matrix from index gradients to view space, directions to the light and half way to it
        (2, 3), and the highlight by cosine.
    alpha_table, light_table
        A step's opacity and light, flat.
    soft, labels, label_rgba
        If `has_labels`: smoothed mask and labels, flat, the mask with room behind; colour and opacity of a step per
        label, flat.
    mesh_rgba, mesh_depth
        If `has_mesh`: what meshes show, colours times opacity, and how deep they lie.
    """
    _, rows, columns = shape
    _, bricks_j, bricks_i = bricks
    height, width = depth_mm.shape
    line, layer = columns, columns * rows
    low_i, low_j, low_k = view[SAMPLED_LOW, 0], view[SAMPLED_LOW, 1], view[SAMPLED_LOW, 2]
    high_i, high_j, high_k = view[SAMPLED_HIGH, 0], view[SAMPLED_HIGH, 1], view[SAMPLED_HIGH, 2]
    level_low, level_scale = look[LEVEL_LOW], look[LEVEL_SCALE]
    top_level = np.float32(LEVELS - 1)
    lane = numbers()
    out = np.empty(5 * WIDTH, np.float32)
    mesh = np.empty(5 * WIDTH, np.float32)
    for top in range(first, beyond, ROWS):
        for left in range(0, width, ROW):
            ox, oy, oz, dx, dy, dz, longer = packet_rays(view, height, width, top, left, look[SPREAD])
            begin, end, in_x = span(ox, dx, view[LOW, 0], view[HIGH, 0], floats(look[NEAR]), floats(FAR))
            begin, end, in_y = span(oy, dy, view[LOW, 1], view[HIGH, 1], begin, end)
            begin, end, in_z = span(oz, dz, view[LOW, 2], view[HIGH, 2], begin, end)
            # The last axis entered is the one that counts.
            in_y = but(in_y, in_z)
            in_x = but(but(in_x, in_z), in_y)
            on_face = in_x | in_y | in_z
            active = ((lane & (ROW - 1)) < width - left) & ((lane >> 2) < beyond - top) & (begin < end)
            # Depth runs along the view, steps along the ray: they differ off the middle of a perspective.
            step = look[STEP] / longer
            begin = pick(active, begin, ZERO)
            length = pick(active, (end - begin) / step, ZERO)
            count = to_ints(length)
            count = count + pick(to_floats(count) < length, 1, 0)
            red, green, blue, through = floats(ZERO), floats(ZERO), floats(ZERO), floats(ONE)
            seen_mm, mesh_at, mesh_step = floats(FAR), floats(FAR), floats(FAR)
            mesh_red, mesh_green, mesh_blue, mesh_alpha = red, green, blue, red
            if has_mesh:
                for slot in range(WIDTH):
                    row, column = min(top + (slot >> 2), height - 1), min(left + (slot & (ROW - 1)), width - 1)
                    mesh[slot] = min(mesh_depth[row, column], FAR)
                    for part in range(4):
                        mesh[(part + 1) * WIDTH + slot] = mesh_rgba[row, column, part]
                mesh_at, mesh_alpha = read(mesh, 0), read(mesh, 4 * WIDTH)
                mesh_red, mesh_green, mesh_blue = read(mesh, WIDTH), read(mesh, 2 * WIDTH), read(mesh, 3 * WIDTH)
                mesh_step = (mesh_at - begin) / step
                shut = (mesh_alpha > np.float32(0.995)) & (mesh_step < length)
                # Nothing is seen behind an opaque mesh.
                last = to_ints(pick(shut, most(mesh_step, np.float32(-1)), ZERO)) + 1
                count = pick(shut, last, count)
                active = but(active, shut & (mesh_step < ZERO))
            if either(active):
                ox, oy, oz = ox + begin * dx, oy + begin * dy, oz + begin * dz
                dx, dy, dz = dx * step, dy * step, dz * step
                ix, iy, iz = inverse(dx), inverse(dy), inverse(dz)
                before, lit, shine = floats(ZERO), floats(look[FLAT]), floats(ZERO)
                has_before = none()
                n = ints(0)
                while either(active):
                    pending, ready, shows = active, none(), none()
                    while True:
                        bits, leap = _look(
                            cells, distances, bricks_i, bricks_j, ox, oy, oz, dx, dy, dz, ix, iy, iz, view, n, pending
                        )
                        here = pending & (bits & 1 > 0)
                        at_once = here | (pending & has_before)
                        shows = shows | here
                        ready = ready | at_once
                        pending = but(pending, at_once)
                        if not either(pending):
                            break
                        on_face = but(on_face, pending)
                        found = pending & (bits > 0)
                        first_one = pick(bits & 2 > 0, 1, pick(bits & 4 > 0, 2, 3))
                        n = pick(pending, n + pick(found, first_one, leap), n)
                        gone = pending & (n > count)
                        active = but(active, gone)
                        found = but(found, gone)
                        shows, ready = shows | found, ready | found
                        pending = but(but(pending, found), gone)
                        if 4 * how_many(pending) <= _WAITING * how_many(ready):
                            break
                    if not either(ready):
                        break
                    far = to_floats(n)
                    x = least(most(ox + far * dx, low_i), high_i)
                    y = least(most(oy + far * dy, low_j), high_j)
                    z = least(most(oz + far * dz, low_k), high_k)
                    i, j, k = to_ints(x), to_ints(y), to_ints(z)
                    base = (k * rows + j) * columns + i
                    u, v, w = x - to_floats(i), y - to_floats(j), z - to_floats(k)
                    value = sample(voxels, base, line, layer, u, v, w, ready)
                    level = least(most((value - level_low) * level_scale, ZERO), top_level)
                    entered = but(ready, has_before)
                    fresh = entered & (n == 0)
                    entered = but(entered, fresh)
                    before = pick(fresh, level, before)
                    if either(entered):
                        # A step into tissue begins in what was leapt over.
                        px = least(most(x - dx, low_i), high_i)
                        py = least(most(y - dy, low_j), high_j)
                        pz = least(most(z - dz, low_k), high_k)
                        pi, pj, pk = to_ints(px), to_ints(py), to_ints(pz)
                        value = sample(
                            voxels, (pk * rows + pj) * columns + pi, line, layer,
                            px - to_floats(pi), py - to_floats(pj), pz - to_floats(pk), entered,
                        )  # fmt: skip
                        before = pick(entered, least(most((value - level_low) * level_scale, ZERO), top_level), before)
                    if has_mesh:
                        met = ready & (mesh_step < far)
                        if either(met):
                            red = pick(met, red + through * mesh_red, red)
                            green = pick(met, green + through * mesh_green, green)
                            blue = pick(met, blue + through * mesh_blue, blue)
                            through = pick(met, through * (ONE - mesh_alpha), through)
                            seen_mm = pick(met & (through < HALF) & (seen_mm == FAR), mesh_at, seen_mm)
                            mesh_step = pick(met, FAR, mesh_step)
                            mesh_at = pick(met, FAR, mesh_at)
                    entry = to_ints(level + HALF) * LEVELS + to_ints(before + HALF)
                    alpha = take(alpha_table, entry, but(ready, fresh))
                    before = level
                    has_before = shows
                    if has_labels:
                        member = sample(soft, base, line, layer, u, v, w, ready)
                        inside = ready & (member > np.float32(96))
                        if either(inside):
                            label = _label_at(labels, base, line, layer, inside)
                            cover = take(label_rgba, (label << 2) + 3, inside)
                            inside = inside & (cover > ZERO)
                            if either(inside):
                                cover = pick(
                                    inside,
                                    cover * least(ONE, (member - np.float32(96)) * np.float32(1 / 64)),
                                    ZERO,
                                )
                                gx, gy, gz = gradient(soft, x, y, z, shape, inside)
                                glow, spark = _lit(gx, gy, gz, normal_from, light, look, gloss, inside)
                                weight = through * cover
                                red = red + weight * (take(label_rgba, label << 2, inside) * glow + spark)
                                green = green + weight * (take(label_rgba, (label << 2) + 1, inside) * glow + spark)
                                blue = blue + weight * (take(label_rgba, (label << 2) + 2, inside) * glow + spark)
                                through = through * (ONE - cover)
                    counts = ready & (alpha * through > _UNSEEN)
                    rest = but(but(ready, counts), fresh)
                    on_face = but(on_face, rest)
                    lit = pick(rest, look[FLAT], lit)
                    shine = pick(rest, ZERO, shine)
                    if either(counts):
                        alpha = pick(counts, alpha, ZERO)
                        behind = ONE - take(light_table, (entry << 2) + 3, counts)
                        if look[DIFFUSE] > ZERO:
                            near = counts & (alpha * through > _UNLIT)
                            if either(near):
                                gx, gy, gz = gradient(
                                    voxels,
                                    least(most(x - behind * dx, low_i), high_i),
                                    least(most(y - behind * dy, low_j), high_j),
                                    least(most(z - behind * dz, low_k), high_k),
                                    shape,
                                    near,
                                )
                                cut = on_face & (n < _FACES_KEPT)
                                gx = pick(cut, to_floats(in_x), gx)
                                gy = pick(cut, to_floats(in_y), gy)
                                gz = pick(cut, to_floats(in_z), gz)
                                glow, spark = _lit(gx, gy, gz, normal_from, light, look, gloss, near)
                                lit, shine = pick(near, glow, lit), pick(near, spark, shine)
                        weight, bright = through * lit, through * alpha * shine
                        red = red + weight * take(light_table, entry << 2, counts) + bright
                        green = green + weight * take(light_table, (entry << 2) + 1, counts) + bright
                        blue = blue + weight * take(light_table, (entry << 2) + 2, counts) + bright
                        through = through * (ONE - alpha)
                        half_seen = counts & (through < HALF) & (seen_mm == FAR)
                        seen_mm = pick(half_seen, begin + (far - behind) * step, seen_mm)
                    spent = ready & (through < _SPENT)
                    if either(spent):
                        whole = ONE / pick(spent, ONE - through, ONE)
                        red, green, blue = red * whole, green * whole, blue * whole
                        through = pick(spent, ZERO, through)
                        active = but(active, spent)
                    n = pick(ready, n + 1, n)
                    active = active & (n <= count)
            if has_mesh:
                behind_all = (mesh_at < FAR) & (through > ZERO)
                red = pick(behind_all, red + through * mesh_red, red)
                green = pick(behind_all, green + through * mesh_green, green)
                blue = pick(behind_all, blue + through * mesh_blue, blue)
                through = pick(behind_all, through * (ONE - mesh_alpha), through)
                seen_mm = pick(behind_all & (through < HALF) & (seen_mm == FAR), mesh_at, seen_mm)
            write(out, 0, least(red * np.float32(255) + through * background[0], np.float32(255)))
            write(out, WIDTH, least(green * np.float32(255) + through * background[1], np.float32(255)))
            write(out, 2 * WIDTH, least(blue * np.float32(255) + through * background[2], np.float32(255)))
            write(out, 3 * WIDTH, seen_mm)
            for slot in range(WIDTH):
                row, column = top + (slot >> 2), left + (slot & (ROW - 1))
                if row < beyond and column < width:
                    picture[row, column, 0] = np.uint8(out[slot] + HALF)
                    picture[row, column, 1] = np.uint8(out[WIDTH + slot] + HALF)
                    picture[row, column, 2] = np.uint8(out[2 * WIDTH + slot] + HALF)
                    depth = out[3 * WIDTH + slot]
                    depth_mm[row, column] = np.inf if depth == FAR else depth


@kernel
def _label_at(labels: Any, base: Any, line: Any, layer: Any, mask: Any) -> Any:
    """Return the highest label around cells: smoothing reaches a little beyond the voxels that carry it."""
    last = labels.size - 4
    found = ints(0)
    for corner in range(4):
        place = base + (line * (corner & 1) + layer * (corner >> 1))
        # Four bytes are read, two are meant: none may lie behind the last.
        start = pick(place > last, last, place)
        word = take_word(labels, start, mask) >> ((place - start) << 3)
        one, two = word & 255, (word >> 8) & 255
        one = pick(one > two, one, two)
        found = pick(one > found, one, found)
    return found


@kernel
def _lit(  # noqa: PLR0917  # kernels take no objects
    gx: Any, gy: Any, gz: Any, normal_from: Any, light: Any, look: Any, gloss: Any, mask: Any
) -> tuple[Any, Any]:
    """Return how brightly places are lit and the highlight on them."""
    nx = normal_from[0, 0] * gx + normal_from[0, 1] * gy + normal_from[0, 2] * gz
    ny = normal_from[1, 0] * gx + normal_from[1, 1] * gy + normal_from[1, 2] * gz
    nz = normal_from[2, 0] * gx + normal_from[2, 1] * gy + normal_from[2, 2] * gz
    square = nx * nx + ny * ny + nz * nz
    flat = square < np.float32(1e-6)
    length = ONE / root(pick(flat, ONE, square))
    length = pick(nz < ZERO, ZERO - length, length)
    facing = most((nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2]) * length, ZERO)
    glow = pick(flat, look[FLAT], look[AMBIENT] + look[DIFFUSE] * facing)
    spark = floats(ZERO)
    if look[SPECULAR] > ZERO:
        halfway = least(most((nx * light[1, 0] + ny * light[1, 1] + nz * light[1, 2]) * length, ZERO), ONE)
        spark = pick(flat, ZERO, look[SPECULAR] * take(gloss, to_ints(halfway * np.float32(255)), mask))
    return glow, spark

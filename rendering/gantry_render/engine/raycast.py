"""The kernels that follow lines of sight through a volume. Positions are voxel indices (i, j, k), centres at integers.

Rays go in packets of 4 x 4 pixels, a lane each, in lockstep: all lanes leap until each has come to a cell that shows
something, then all take a step. Volumes have fewer than 2**31 voxels.
"""

from typing import Any, Final

import numpy as np

from gantry_render.engine.bricks import EDGE, SHIFT
from gantry_render.engine.jit import kernel
from gantry_render.engine.lanes import (
    WIDTH,
    but,
    either,
    first_of,
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
    second_of,
    take,
    take_word,
    to_floats,
    to_ints,
    write,
)
from gantry_render.engine.transfer import LEVELS

# Where numbers stand in `view` (rows of three, index space): first ray's origin and direction, and their change per
# unit to the right and up; then the low and high corner of what is shown, voxels' edges included, and of where samples
# are taken: beyond the outermost centres the value stays.
ORIGIN, ORIGIN_X, ORIGIN_Y, TOWARDS, TOWARDS_X, TOWARDS_Y, LOW, HIGH, SAMPLED_LOW, SAMPLED_HIGH = range(10)
# And in `look`: scalars of light and sampling.
STEP, NEAR, LEVEL_LOW, LEVEL_SCALE, AMBIENT, DIFFUSE, SPECULAR, FLAT, SPREAD = range(9)
# Light left below which what lies behind is taken to look like what lies before, and the share of a pixel from which
# a step is worth a gradient of its own instead of the light on the step before.
_SPENT = np.float32(0.04)
_UNLIT = np.float32(0.015)
_UNSEEN = np.float32(1e-4)
_ZERO, _ONE, _HALF, _FAR = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1e30)
_FACES_KEPT = 6
# Steps looked at together in bricks that show something, and how many lanes may still be looking, to four that have
# found, when the others go on.
_AHEAD: Final = 4
_WAITING: Final = 3
_ROW: Final = 4
_ROWS: Final = WIDTH // _ROW
"""Pixels of a packet side by side, and one above the other."""
_INSIDE_BRICK: Final = EDGE - 1


@kernel
def _sample(  # noqa: PLR0917  # kernels take no objects
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
def _gradient(voxels: Any, x: Any, y: Any, z: Any, shape: Any, mask: Any) -> tuple[Any, Any, Any]:
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
def _span(x: Any, dx: Any, low: Any, high: Any, near: Any, far: Any) -> tuple[Any, Any, Any]:
    """Narrow rays' stretches to one axis of the box; where they enter tells the face."""
    along = most(dx, _ZERO - dx) < np.float32(1e-9)
    beside = but(along, (x >= low) & (x <= high))
    divisor = pick(along, _ONE, dx)
    first, second = (low - x) / divisor, (high - x) / divisor
    enter, leave = least(first, second), most(first, second)
    entered = but(enter > near, along)
    near = pick(beside, _ONE, pick(entered, enter, near))
    far = pick(beside, _ZERO, pick(along, far, least(far, leave)))
    return near, far, entered


@kernel
def _inverse(dx: Any) -> Any:
    flat = most(dx, _ZERO - dx) <= np.float32(1e-6)
    return pick(flat, np.float32(1e6), _ONE / pick(flat, _ONE, dx))


@kernel
def _rays(view: Any, height: Any, width: Any, top: Any, left: Any, spread: Any) -> Any:
    """Return origins, directions of unit depth, and by how much the rays are longer than their depth."""
    lane = numbers()
    half = np.float32(0.5 * height)
    across = (to_floats(lane & (_ROW - 1)) + (np.float32(left) + _HALF - np.float32(0.5 * width))) / half
    up = _ONE - (to_floats(lane >> 2) + (np.float32(top) + _HALF)) / half
    ox = view[ORIGIN, 0] + across * view[ORIGIN_X, 0] + up * view[ORIGIN_Y, 0]
    oy = view[ORIGIN, 1] + across * view[ORIGIN_X, 1] + up * view[ORIGIN_Y, 1]
    oz = view[ORIGIN, 2] + across * view[ORIGIN_X, 2] + up * view[ORIGIN_Y, 2]
    dx = view[TOWARDS, 0] + across * view[TOWARDS_X, 0] + up * view[TOWARDS_Y, 0]
    dy = view[TOWARDS, 1] + across * view[TOWARDS_X, 1] + up * view[TOWARDS_Y, 1]
    dz = view[TOWARDS, 2] + across * view[TOWARDS_X, 2] + up * view[TOWARDS_Y, 2]
    return ox, oy, oz, dx, dy, dz, root(_ONE + spread * (across * across + up * up))


@kernel
def _leap(  # noqa: PLR0917  # kernels take no objects
    x: Any, y: Any, z: Any, bi: Any, bj: Any, bk: Any, ix: Any, iy: Any, iz: Any, distance: Any
) -> Any:
    """Return how many steps, beyond the next, lead out of the empty bricks around one."""
    back = 1 - distance
    sx = (to_floats((bi + pick(ix > _ZERO, distance, back)) << SHIFT) - x) * ix
    sy = (to_floats((bj + pick(iy > _ZERO, distance, back)) << SHIFT) - y) * iy
    sz = (to_floats((bk + pick(iz > _ZERO, distance, back)) << SHIFT) - z) * iz
    return to_ints(least(most(least(least(sx, sy), sz), _ZERO), np.float32(1e6)))


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
    return bits, pick(distance == 0, _AHEAD, _leap(x, y, z, bi, bj, bk, ix, iy, iz, distance) + 1)


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
    for top in range(first, beyond, _ROWS):
        for left in range(0, width, _ROW):
            ox, oy, oz, dx, dy, dz, longer = _rays(view, height, width, top, left, look[SPREAD])
            begin, end, in_x = _span(ox, dx, view[LOW, 0], view[HIGH, 0], floats(look[NEAR]), floats(_FAR))
            begin, end, in_y = _span(oy, dy, view[LOW, 1], view[HIGH, 1], begin, end)
            begin, end, in_z = _span(oz, dz, view[LOW, 2], view[HIGH, 2], begin, end)
            # The last axis entered is the one that counts.
            in_y = but(in_y, in_z)
            in_x = but(but(in_x, in_z), in_y)
            on_face = in_x | in_y | in_z
            active = ((lane & (_ROW - 1)) < width - left) & ((lane >> 2) < beyond - top) & (begin < end)
            # Depth runs along the view, steps along the ray: they differ off the middle of a perspective.
            step = look[STEP] / longer
            begin = pick(active, begin, _ZERO)
            length = pick(active, (end - begin) / step, _ZERO)
            count = to_ints(length)
            count = count + pick(to_floats(count) < length, 1, 0)
            red, green, blue, through = floats(_ZERO), floats(_ZERO), floats(_ZERO), floats(_ONE)
            seen_mm, mesh_at, mesh_step = floats(_FAR), floats(_FAR), floats(_FAR)
            mesh_red, mesh_green, mesh_blue, mesh_alpha = red, green, blue, red
            if has_mesh:
                for slot in range(WIDTH):
                    row, column = min(top + (slot >> 2), height - 1), min(left + (slot & (_ROW - 1)), width - 1)
                    mesh[slot] = min(mesh_depth[row, column], _FAR)
                    for part in range(4):
                        mesh[(part + 1) * WIDTH + slot] = mesh_rgba[row, column, part]
                mesh_at, mesh_alpha = read(mesh, 0), read(mesh, 4 * WIDTH)
                mesh_red, mesh_green, mesh_blue = read(mesh, WIDTH), read(mesh, 2 * WIDTH), read(mesh, 3 * WIDTH)
                mesh_step = (mesh_at - begin) / step
                shut = (mesh_alpha > np.float32(0.995)) & (mesh_step < length)
                # Nothing is seen behind an opaque mesh.
                last = to_ints(pick(shut, most(mesh_step, np.float32(-1)), _ZERO)) + 1
                count = pick(shut, last, count)
                active = but(active, shut & (mesh_step < _ZERO))
            if either(active):
                ox, oy, oz = ox + begin * dx, oy + begin * dy, oz + begin * dz
                dx, dy, dz = dx * step, dy * step, dz * step
                ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
                before, lit, shine = floats(_ZERO), floats(look[FLAT]), floats(_ZERO)
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
                    value = _sample(voxels, base, line, layer, u, v, w, ready)
                    level = least(most((value - level_low) * level_scale, _ZERO), top_level)
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
                        value = _sample(
                            voxels, (pk * rows + pj) * columns + pi, line, layer,
                            px - to_floats(pi), py - to_floats(pj), pz - to_floats(pk), entered,
                        )  # fmt: skip
                        before = pick(entered, least(most((value - level_low) * level_scale, _ZERO), top_level), before)
                    if has_mesh:
                        met = ready & (mesh_step < far)
                        if either(met):
                            red = pick(met, red + through * mesh_red, red)
                            green = pick(met, green + through * mesh_green, green)
                            blue = pick(met, blue + through * mesh_blue, blue)
                            through = pick(met, through * (_ONE - mesh_alpha), through)
                            seen_mm = pick(met & (through < _HALF) & (seen_mm == _FAR), mesh_at, seen_mm)
                            mesh_step = pick(met, _FAR, mesh_step)
                            mesh_at = pick(met, _FAR, mesh_at)
                    entry = to_ints(level + _HALF) * LEVELS + to_ints(before + _HALF)
                    alpha = take(alpha_table, entry, but(ready, fresh))
                    before = level
                    has_before = shows
                    if has_labels:
                        member = _sample(soft, base, line, layer, u, v, w, ready)
                        inside = ready & (member > np.float32(96))
                        if either(inside):
                            label = _label_at(labels, base, line, layer, inside)
                            cover = take(label_rgba, (label << 2) + 3, inside)
                            inside = inside & (cover > _ZERO)
                            if either(inside):
                                cover = pick(
                                    inside,
                                    cover * least(_ONE, (member - np.float32(96)) * np.float32(1 / 64)),
                                    _ZERO,
                                )
                                gx, gy, gz = _gradient(soft, x, y, z, shape, inside)
                                glow, spark = _lit(gx, gy, gz, normal_from, light, look, gloss, inside)
                                weight = through * cover
                                red = red + weight * (take(label_rgba, label << 2, inside) * glow + spark)
                                green = green + weight * (take(label_rgba, (label << 2) + 1, inside) * glow + spark)
                                blue = blue + weight * (take(label_rgba, (label << 2) + 2, inside) * glow + spark)
                                through = through * (_ONE - cover)
                    counts = ready & (alpha * through > _UNSEEN)
                    rest = but(but(ready, counts), fresh)
                    on_face = but(on_face, rest)
                    lit = pick(rest, look[FLAT], lit)
                    shine = pick(rest, _ZERO, shine)
                    if either(counts):
                        alpha = pick(counts, alpha, _ZERO)
                        behind = _ONE - take(light_table, (entry << 2) + 3, counts)
                        if look[DIFFUSE] > _ZERO:
                            near = counts & (alpha * through > _UNLIT)
                            if either(near):
                                gx, gy, gz = _gradient(
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
                        through = through * (_ONE - alpha)
                        half_seen = counts & (through < _HALF) & (seen_mm == _FAR)
                        seen_mm = pick(half_seen, begin + (far - behind) * step, seen_mm)
                    spent = ready & (through < _SPENT)
                    if either(spent):
                        whole = _ONE / pick(spent, _ONE - through, _ONE)
                        red, green, blue = red * whole, green * whole, blue * whole
                        through = pick(spent, _ZERO, through)
                        active = but(active, spent)
                    n = pick(ready, n + 1, n)
                    active = active & (n <= count)
            if has_mesh:
                behind_all = (mesh_at < _FAR) & (through > _ZERO)
                red = pick(behind_all, red + through * mesh_red, red)
                green = pick(behind_all, green + through * mesh_green, green)
                blue = pick(behind_all, blue + through * mesh_blue, blue)
                through = pick(behind_all, through * (_ONE - mesh_alpha), through)
                seen_mm = pick(behind_all & (through < _HALF) & (seen_mm == _FAR), mesh_at, seen_mm)
            write(out, 0, least(red * np.float32(255) + through * background[0], np.float32(255)))
            write(out, WIDTH, least(green * np.float32(255) + through * background[1], np.float32(255)))
            write(out, 2 * WIDTH, least(blue * np.float32(255) + through * background[2], np.float32(255)))
            write(out, 3 * WIDTH, seen_mm)
            for slot in range(WIDTH):
                row, column = top + (slot >> 2), left + (slot & (_ROW - 1))
                if row < beyond and column < width:
                    picture[row, column, 0] = np.uint8(out[slot] + _HALF)
                    picture[row, column, 1] = np.uint8(out[WIDTH + slot] + _HALF)
                    picture[row, column, 2] = np.uint8(out[2 * WIDTH + slot] + _HALF)
                    depth = out[3 * WIDTH + slot]
                    depth_mm[row, column] = np.inf if depth == _FAR else depth


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
    length = _ONE / root(pick(flat, _ONE, square))
    length = pick(nz < _ZERO, _ZERO - length, length)
    facing = most((nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2]) * length, _ZERO)
    glow = pick(flat, look[FLAT], look[AMBIENT] + look[DIFFUSE] * facing)
    spark = floats(_ZERO)
    if look[SPECULAR] > _ZERO:
        halfway = least(most((nx * light[1, 0] + ny * light[1, 1] + nz * light[1, 2]) * length, _ZERO), _ONE)
        spark = pick(flat, _ZERO, look[SPECULAR] * take(gloss, to_ints(halfway * np.float32(255)), mask))
    return glow, spark


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
    for top in range(first, beyond, _ROWS):
        for left in range(0, width, _ROW):
            ox, oy, oz, dx, dy, dz, longer = _rays(view, height, width, top, left, spread)
            begin, end, _ = _span(ox, dx, view[LOW, 0], view[HIGH, 0], floats(near), floats(_FAR))
            begin, end, _ = _span(oy, dy, view[LOW, 1], view[HIGH, 1], begin, end)
            begin, end, _ = _span(oz, dz, view[LOW, 2], view[HIGH, 2], begin, end)
            active = ((lane & (_ROW - 1)) < width - left) & ((lane >> 2) < beyond - top) & (begin < end)
            step = step_mm / longer
            begin = pick(active, begin, _ZERO)
            length = pick(active, (end - begin) / step, _ZERO)
            count = to_ints(length)
            count = count + pick(to_floats(count) < length, 1, 0)
            ox, oy, oz = ox + begin * dx, oy + begin * dy, oz + begin * dz
            dx, dy, dz = dx * step, dy * step, dz * step
            ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
            best, held = floats(-_FAR), floats(-_FAR)
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
                    leap = pick(counts, 0, _leap(x, y, z, bi, bj, bk, ix, iy, iz, ints(1)))
                if either(counts):
                    u, v, w = x - to_floats(i), y - to_floats(j), z - to_floats(k)
                    value = sign * _sample(voxels, (k * rows + j) * columns + i, line, layer, u, v, w, counts)
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
                row, column = top + (slot >> 2), left + (slot & (_ROW - 1))
                if row < beyond and column < width:
                    values[row, column] = np.nan if out[slot] == -_FAR else sign * out[slot]

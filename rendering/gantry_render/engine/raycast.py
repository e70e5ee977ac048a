"""The kernels that follow a line of sight through a volume. Positions are voxel indices (i, j, k), centres at integers."""

from typing import Any

import numpy as np

from gantry_render.engine.bricks import SHIFT
from gantry_render.engine.jit import kernel
from gantry_render.engine.transfer import LEVELS

# Where numbers stand in `view` (rows of three, index space): first ray's origin and direction, and their change per
# unit to the right and up; then the low and high corner of what is shown, voxels' edges included, and of where samples
# are taken: beyond the outermost centres the value stays.
ORIGIN, ORIGIN_X, ORIGIN_Y, TOWARDS, TOWARDS_X, TOWARDS_Y, LOW, HIGH, SAMPLED_LOW, SAMPLED_HIGH = range(10)
# And in `look`: scalars of light and sampling.
STEP, NEAR, LEVEL_LOW, LEVEL_SCALE, AMBIENT, DIFFUSE, SPECULAR, FLAT = range(8)
# Light left below which what lies behind is taken to look like what lies before, and the share of a pixel from which
# a step is worth a gradient of its own instead of the light on the step before.
_SPENT = np.float32(0.04)
_UNLIT = np.float32(0.01)
_ZERO, _ONE, _HALF, _FAR = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1e30)
_FACES_KEPT = 6
# Neighbouring rays share cache lines: pixels are visited in squares of this edge.
TILE = 16
_1 = np.uint64(1)


@kernel
def _sample(voxels: Any, base: Any, line: Any, layer: Any, u: Any, v: Any, w: Any) -> Any:
    a = np.float32(voxels[base])
    b = np.float32(voxels[base + line])
    c = np.float32(voxels[base + layer])
    d = np.float32(voxels[base + layer + line])
    a += u * (np.float32(voxels[base + _1]) - a)
    b += u * (np.float32(voxels[base + line + _1]) - b)
    c += u * (np.float32(voxels[base + layer + _1]) - c)
    d += u * (np.float32(voxels[base + layer + line + _1]) - d)
    a += v * (b - a)
    c += v * (d - c)
    return a + w * (c - a)


@kernel
def _row_slope(voxels: Any, m: Any, a: Any, b: Any, p: Any, u: Any) -> Any:
    """Central difference along a row of four voxels, m a b p, at u between a and b."""
    first = np.float32(voxels[b]) - np.float32(voxels[m])
    return first + u * (np.float32(voxels[p]) - np.float32(voxels[a]) - first)


@kernel
def _slope(  # noqa: PLR0917  # kernels take no objects
    voxels: Any,
    base: Any,
    back: Any,
    one: Any,
    ahead: Any,
    side: Any,
    top: Any,
    u: Any,
    v: Any,
    w: Any,
) -> Any:
    """Central differences along one axis, interpolated: `back`, `one`, `ahead` reach its neighbours."""
    a = _row_slope(voxels, base - back, base, base + one, base + ahead, u)
    b = _row_slope(voxels, base + side - back, base + side, base + side + one, base + side + ahead, u)
    base += top
    c = _row_slope(voxels, base - back, base, base + one, base + ahead, u)
    d = _row_slope(voxels, base + side - back, base + side, base + side + one, base + side + ahead, u)
    a += v * (b - a)
    c += v * (d - c)
    return a + w * (c - a)


@kernel
def gradient(voxels: Any, x: Any, y: Any, z: Any, columns: Any, rows: Any, slices: Any) -> tuple[Any, Any, Any]:
    """Return the central differences at a place, twice the slope per index, one-sided at the volume's faces."""
    i, j, k = int(x), int(y), int(z)
    u, v, w = x - np.float32(i), y - np.float32(j), z - np.float32(k)
    line, layer = np.uint64(columns), np.uint64(columns * rows)
    base = np.uint64((k * rows + j) * columns + i)
    before_i, after_i = np.uint64(i > 0), _1 + np.uint64(i < columns - 2)
    before_j, after_j = line * np.uint64(j > 0), line * (_1 + np.uint64(j < rows - 2))
    before_k, after_k = layer * np.uint64(k > 0), layer * (_1 + np.uint64(k < slices - 2))
    gx = _slope(voxels, base, before_i, _1, after_i, line, layer, u, v, w)
    gy = _slope(voxels, base, before_j, line, after_j, _1, layer, v, u, w)
    gz = _slope(voxels, base, before_k, layer, after_k, _1, line, w, u, v)
    return gx, gy, gz


@kernel
def _span(x: Any, dx: Any, low: Any, high: Any, near: Any, far: Any) -> tuple[Any, Any, Any]:
    """Narrow a ray's stretch to one axis of the box; where it enters tells the face."""
    if abs(dx) < np.float32(1e-9):
        return (near, far, False) if low <= x <= high else (_ONE, _ZERO, False)
    first, second = (low - x) / dx, (high - x) / dx
    if first > second:
        first, second = second, first
    return max(near, first), min(far, second), first > near


@kernel
def ray_box(  # noqa: PLR0917  # kernels take no objects
    ox: Any,
    oy: Any,
    oz: Any,
    dx: Any,
    dy: Any,
    dz: Any,
    view: Any,
    near: Any,
) -> tuple[Any, Any, int]:
    """Return where the ray enters and leaves what is shown, and through which axis it entered (-1: began inside)."""
    face = -1
    begin, end, entered = _span(ox, dx, view[LOW, 0], view[HIGH, 0], near, _FAR)
    if entered:
        face = 0
    begin, end, entered = _span(oy, dy, view[LOW, 1], view[HIGH, 1], begin, end)
    if entered:
        face = 1
    begin, end, entered = _span(oz, dz, view[LOW, 2], view[HIGH, 2], begin, end)
    if entered:
        face = 2
    return begin, end, face


@kernel
def _steps_out(x: Any, inverse: Any, brick: Any, distance: Any) -> Any:
    """Return how many steps lead out of the empty bricks around one, along one axis; `inverse` is steps a voxel."""
    edge = brick + distance if inverse > _ZERO else brick - distance + 1
    return (np.float32(edge << SHIFT) - x) * inverse


@kernel
def _inverse(dx: Any) -> Any:
    return _ONE / dx if abs(dx) > np.float32(1e-6) else np.float32(1e6)


@kernel
def cast_band(  # noqa: C901, PLR0917  # one loop, all in registers; kernels take no objects
    voxels: Any,
    shape: Any,
    distances: Any,
    view: Any,
    look: Any,
    normal_from: Any,
    light: Any,
    gloss: Any,
    alpha_table: Any,
    light_table: Any,
    soft: Any,
    labels: Any,
    label_rgba: Any,
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
    distances
        Bricks to the nearest visible brick, (k, j, i).
    view, look, normal_from, light, gloss
        Rays, scalars, the matrix from index gradients to view space, directions to the light and half way to it
        (2, 3), and the highlight by cosine.
    soft, labels, label_rgba
        Smoothed mask and labels, flat; colour and opacity of a step per label. Or None, all three.
    mesh_rgba, mesh_depth
        What meshes show, colours times opacity, and how deep they lie. Or None, both.
    """
    _, rows, columns = shape
    height, width = depth_mm.shape
    line, layer = np.uint64(columns), np.uint64(columns * rows)
    lx, ly, lz = light[0, 0], light[0, 1], light[0, 2]
    hx, hy, hz = light[1, 0], light[1, 1], light[1, 2]
    low_i, low_j, low_k = view[SAMPLED_LOW, 0], view[SAMPLED_LOW, 1], view[SAMPLED_LOW, 2]
    high_i, high_j, high_k = view[SAMPLED_HIGH, 0], view[SAMPLED_HIGH, 1], view[SAMPLED_HIGH, 2]
    level_low, level_scale = look[LEVEL_LOW], look[LEVEL_SCALE]
    top = np.float32(LEVELS - 1)
    half = np.float32(0.5 * height)
    for left in range(0, width, TILE):
        for row in range(first, beyond):
            up = _ONE - (np.float32(row) + _HALF) / half
            for column in range(left, min(left + TILE, width)):
                across = (np.float32(column) + _HALF - np.float32(0.5 * width)) / half
                ox = view[ORIGIN, 0] + across * view[ORIGIN_X, 0] + up * view[ORIGIN_Y, 0]
                oy = view[ORIGIN, 1] + across * view[ORIGIN_X, 1] + up * view[ORIGIN_Y, 1]
                oz = view[ORIGIN, 2] + across * view[ORIGIN_X, 2] + up * view[ORIGIN_Y, 2]
                dx = view[TOWARDS, 0] + across * view[TOWARDS_X, 0] + up * view[TOWARDS_Y, 0]
                dy = view[TOWARDS, 1] + across * view[TOWARDS_X, 1] + up * view[TOWARDS_Y, 1]
                dz = view[TOWARDS, 2] + across * view[TOWARDS_X, 2] + up * view[TOWARDS_Y, 2]
                begin, end, face = ray_box(ox, oy, oz, dx, dy, dz, view, look[NEAR])
                red = green = blue = _ZERO
                through = _ONE
                seen_mm = _FAR
                mesh_at = _FAR
                if mesh_depth is not None:
                    mesh_at = mesh_depth[row, column]
                if begin < end:
                    # Depth runs along the view, steps along the ray: they differ off the middle of a perspective.
                    step = look[STEP] / np.sqrt(_ONE + look[8] * (across * across + up * up))
                    ox += begin * dx
                    oy += begin * dy
                    oz += begin * dz
                    dx *= step
                    dy *= step
                    dz *= step
                    ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
                    count = int(np.ceil((end - begin) / step))
                    if mesh_depth is not None and mesh_rgba[row, column, 3] > np.float32(0.995):
                        count = min(count, int(np.ceil((mesh_at - begin) / step)))
                    mesh_step = (mesh_at - begin) / step
                    before = _ZERO
                    has_before = False
                    on_face = face >= 0
                    lit, shine = look[FLAT], _ZERO
                    n = 0
                    while n <= count:
                        far = np.float32(n)
                        x = min(max(ox + far * dx, low_i), high_i)
                        y = min(max(oy + far * dy, low_j), high_j)
                        z = min(max(oz + far * dz, low_k), high_k)
                        i, j, k = int(x), int(y), int(z)
                        distance = int(distances[np.uint64(k >> SHIFT), np.uint64(j >> SHIFT), np.uint64(i >> SHIFT)])
                        if distance > 0 and not has_before:
                            leap = min(
                                _steps_out(x, ix, i >> SHIFT, distance),
                                _steps_out(y, iy, j >> SHIFT, distance),
                                _steps_out(z, iz, k >> SHIFT, distance),
                            )
                            n += 1 + int(max(_ZERO, min(leap, np.float32(1e6))))
                            on_face = False
                            continue
                        base = np.uint64((k * rows + j) * columns + i)
                        value = _sample(
                            voxels, base, line, layer, x - np.float32(i), y - np.float32(j), z - np.float32(k)
                        )
                        level = min(max((value - level_low) * level_scale, _ZERO), top)
                        if not has_before:
                            own = np.uint64(level + _HALF)
                            if n == 0 or alpha_table[own, own] <= _ZERO:
                                # Nothing shows before, nothing here: the step between shows nothing either.
                                before = level
                                has_before = distance == 0
                                n += 1
                                continue
                            px = min(max(ox + (far - _ONE) * dx, low_i), high_i)
                            py = min(max(oy + (far - _ONE) * dy, low_j), high_j)
                            pz = min(max(oz + (far - _ONE) * dz, low_k), high_k)
                            pi, pj, pk = int(px), int(py), int(pz)
                            base = np.uint64((pk * rows + pj) * columns + pi)
                            value = _sample(
                                voxels, base, line, layer, px - np.float32(pi), py - np.float32(pj), pz - np.float32(pk)
                            )
                            before = min(max((value - level_low) * level_scale, _ZERO), top)
                        if mesh_depth is not None and mesh_step < far:
                            red += through * mesh_rgba[row, column, 0]
                            green += through * mesh_rgba[row, column, 1]
                            blue += through * mesh_rgba[row, column, 2]
                            through *= _ONE - mesh_rgba[row, column, 3]
                            if through < _HALF and seen_mm == _FAR:
                                seen_mm = mesh_at
                            mesh_step = _FAR
                        entry_end, entry_begin = np.uint64(level + _HALF), np.uint64(before + _HALF)
                        alpha = alpha_table[entry_end, entry_begin]
                        before = level
                        has_before = distance == 0
                        if labels is not None:
                            member = _sample(
                                soft, np.uint64((k * rows + j) * columns + i), line, layer,
                                x - np.float32(i), y - np.float32(j), z - np.float32(k),
                            )  # fmt: skip
                            if member > np.float32(96):
                                label = _label_at(labels, (k * rows + j) * columns + i, columns, columns * rows)
                                if label > 0 and label_rgba[label, 3] > _ZERO:
                                    cover = label_rgba[label, 3] * min(_ONE, (member - np.float32(96)) / np.float32(64))
                                    glow, spark = _lit(
                                        soft, x, y, z, shape, normal_from, lx, ly, lz, hx, hy, hz, look, gloss, -1
                                    )
                                    weight = through * cover
                                    red += weight * (label_rgba[label, 0] * glow + spark)
                                    green += weight * (label_rgba[label, 1] * glow + spark)
                                    blue += weight * (label_rgba[label, 2] * glow + spark)
                                    through *= _ONE - cover
                        if alpha * through > np.float32(1e-4):
                            if alpha * through > _UNLIT and look[DIFFUSE] > _ZERO:
                                behind = _ONE - light_table[entry_end, entry_begin, 3]
                                lit, shine = _lit(
                                    voxels,
                                    min(max(x - behind * dx, low_i), high_i),
                                    min(max(y - behind * dy, low_j), high_j),
                                    min(max(z - behind * dz, low_k), high_k),
                                    shape, normal_from, lx, ly, lz, hx, hy, hz, look, gloss,
                                    face if on_face and n < _FACES_KEPT else -1,
                                )  # fmt: skip
                            weight = through * lit
                            bright = through * alpha * shine
                            red += weight * light_table[entry_end, entry_begin, 0] + bright
                            green += weight * light_table[entry_end, entry_begin, 1] + bright
                            blue += weight * light_table[entry_end, entry_begin, 2] + bright
                            through *= _ONE - alpha
                            if through < _HALF and seen_mm == _FAR:
                                seen_mm = begin + (far - _ONE + light_table[entry_end, entry_begin, 3]) * step
                        else:
                            on_face = False
                            lit, shine = look[FLAT], _ZERO
                        if through < _SPENT:
                            red /= _ONE - through
                            green /= _ONE - through
                            blue /= _ONE - through
                            through = _ZERO
                            break
                        n += 1
                    mesh_at = _FAR if mesh_step == _FAR else mesh_at
                if mesh_depth is not None and mesh_at < _FAR and through > _ZERO:
                    red += through * mesh_rgba[row, column, 0]
                    green += through * mesh_rgba[row, column, 1]
                    blue += through * mesh_rgba[row, column, 2]
                    through *= _ONE - mesh_rgba[row, column, 3]
                    if through < _HALF and seen_mm == _FAR:
                        seen_mm = mesh_at
                whole = np.float32(255)
                picture[row, column, 0] = np.uint8(min(whole, whole * red + through * background[0]) + _HALF)
                picture[row, column, 1] = np.uint8(min(whole, whole * green + through * background[1]) + _HALF)
                picture[row, column, 2] = np.uint8(min(whole, whole * blue + through * background[2]) + _HALF)
                depth_mm[row, column] = np.inf if seen_mm == _FAR else seen_mm


@kernel
def _label_at(labels: Any, base: Any, line: Any, layer: Any) -> int:
    """Return the highest label around a cell: smoothing reaches a little beyond the voxels that carry it."""
    found = 0
    for corner in range(8):
        offset = (corner & 1) + line * ((corner >> 1) & 1) + layer * (corner >> 2)
        found = max(found, int(labels[np.uint64(base + offset)]))
    return found


@kernel
def _lit(  # noqa: PLR0917  # kernels take no objects
    voxels: Any,
    x: Any,
    y: Any,
    z: Any,
    shape: Any,
    normal_from: Any,
    lx: Any,
    ly: Any,
    lz: Any,
    hx: Any,
    hy: Any,
    hz: Any,
    look: Any,
    gloss: Any,
    face: Any,
) -> tuple[Any, Any]:
    """Return how brightly a place is lit and the highlight on it; where a face cuts tissue, the face is lit."""
    slices, rows, columns = shape
    if face >= 0:
        gx, gy, gz = np.float32(face == 0), np.float32(face == 1), np.float32(face == 2)
    else:
        gx, gy, gz = gradient(voxels, x, y, z, columns, rows, slices)
    nx = normal_from[0, 0] * gx + normal_from[0, 1] * gy + normal_from[0, 2] * gz
    ny = normal_from[1, 0] * gx + normal_from[1, 1] * gy + normal_from[1, 2] * gz
    nz = normal_from[2, 0] * gx + normal_from[2, 1] * gy + normal_from[2, 2] * gz
    square = nx * nx + ny * ny + nz * nz
    if square < np.float32(1e-6):
        return look[FLAT], _ZERO
    length = _ONE / np.sqrt(square)
    if nz < _ZERO:
        length = -length
    facing = max(_ZERO, (nx * lx + ny * ly + nz * lz) * length)
    halfway = min(max(_ZERO, (nx * hx + ny * hy + nz * hz) * length), _ONE)
    return look[AMBIENT] + look[DIFFUSE] * facing, look[SPECULAR] * gloss[np.uint64(halfway * np.float32(255))]


@kernel
def project_band(  # noqa: PLR0917  # kernels take no objects
    voxels: Any,
    shape: Any,
    bound: Any,
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

    `bound` is the brick's highest or lowest voxel: bricks that cannot change the result are crossed in one step.
    """
    _, rows, columns = shape
    height, width = values.shape
    line, layer = np.uint64(columns), np.uint64(columns * rows)
    low_i, low_j, low_k = view[SAMPLED_LOW, 0], view[SAMPLED_LOW, 1], view[SAMPLED_LOW, 2]
    high_i, high_j, high_k = view[SAMPLED_HIGH, 0], view[SAMPLED_HIGH, 1], view[SAMPLED_HIGH, 2]
    half = np.float32(0.5 * height)
    for row in range(first, beyond):
        up = _ONE - (np.float32(row) + _HALF) / half
        for column in range(width):
            across = (np.float32(column) + _HALF - np.float32(0.5 * width)) / half
            ox = view[ORIGIN, 0] + across * view[ORIGIN_X, 0] + up * view[ORIGIN_Y, 0]
            oy = view[ORIGIN, 1] + across * view[ORIGIN_X, 1] + up * view[ORIGIN_Y, 1]
            oz = view[ORIGIN, 2] + across * view[ORIGIN_X, 2] + up * view[ORIGIN_Y, 2]
            dx = view[TOWARDS, 0] + across * view[TOWARDS_X, 0] + up * view[TOWARDS_Y, 0]
            dy = view[TOWARDS, 1] + across * view[TOWARDS_X, 1] + up * view[TOWARDS_Y, 1]
            dz = view[TOWARDS, 2] + across * view[TOWARDS_X, 2] + up * view[TOWARDS_Y, 2]
            begin, end, _ = ray_box(ox, oy, oz, dx, dy, dz, view, near)
            if begin >= end:
                values[row, column] = np.nan
                continue
            step = step_mm / np.sqrt(_ONE + spread * (across * across + up * up))
            ox += begin * dx
            oy += begin * dy
            oz += begin * dz
            dx *= step
            dy *= step
            dz *= step
            ix, iy, iz = _inverse(dx), _inverse(dy), _inverse(dz)
            count = int(np.ceil((end - begin) / step))
            best = -_FAR
            n = 0
            while n <= count:
                far = np.float32(n)
                x = min(max(ox + far * dx, low_i), high_i)
                y = min(max(oy + far * dy, low_j), high_j)
                z = min(max(oz + far * dz, low_k), high_k)
                i, j, k = int(x), int(y), int(z)
                if (
                    sign * np.float32(bound[np.uint64(k >> SHIFT), np.uint64(j >> SHIFT), np.uint64(i >> SHIFT)])
                    <= best
                ):
                    leap = min(
                        _steps_out(x, ix, i >> SHIFT, 1),
                        _steps_out(y, iy, j >> SHIFT, 1),
                        _steps_out(z, iz, k >> SHIFT, 1),
                    )
                    n += 1 + int(max(_ZERO, min(leap, np.float32(1e6))))
                    continue
                base = np.uint64((k * rows + j) * columns + i)
                value = sign * _sample(
                    voxels, base, line, layer, x - np.float32(i), y - np.float32(j), z - np.float32(k)
                )
                best = max(best, value)
                n += 1
            values[row, column] = sign * best

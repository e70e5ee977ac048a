"""Triangles to pixels with a depth buffer, on the processor."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gantry_render.engine.jit import in_bands, kernel
from gantry_render.presets import Shading
from gantry_render.scene import Camera, SurfaceMesh
from gantry_render.surfaces import find_normals

# Nothing nearer to the eye than this is drawn in perspective.
_NEAR_MM: Final = 1e-3


def draw_meshes(
    meshes: Sequence[SurfaceMesh], camera: Camera, width: int, height: int, shading: Shading
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw the nearest surface of each pixel.

    Returns
    -------
    colour
        float32 (height, width, 4): red, green and blue times opacity, and opacity, 0 to 1.
    depth_mm
        float32 (height, width): distance from the camera's plane along the view; infinite where there is none.
    """
    colour = np.zeros((height, width, 4), np.float32)
    depth_mm = np.full((height, width), np.inf, np.float32)
    light = np.array(shading.light) / np.linalg.norm(shading.light)
    halfway = np.add(light, (0.0, 0.0, 1.0))
    lamp = np.stack([light, halfway / np.linalg.norm(halfway)]).astype(np.float32)
    look = np.array([shading.ambient, shading.diffuse, shading.specular, shading.power], np.float32)
    fill: Callable[..., None] = _fill
    for mesh in meshes:
        if len(mesh.triangles) == 0 or mesh.colour[3] == 0:
            continue
        corners, normals = _to_screen(mesh, camera, width, height)
        rgba = np.array(mesh.colour, np.float32)
        arguments: list[Any] = [corners, normals, mesh.triangles, mesh.smooth, rgba, lamp, look]
        in_bands(
            lambda first, beyond, given=arguments: fill(*given, first, beyond, colour, depth_mm),  # type: ignore[misc]
            height,
            band=max(16, -(-height // 4)),
        )
    return colour, depth_mm


def _to_screen(
    mesh: SurfaceMesh, camera: Camera, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return vertices as column, row and depth, and their normals (right, up, towards the viewer)."""
    axes = camera.axes_lps
    local = (mesh.vertices_lps_mm.astype(np.float64) - camera.position_lps_mm) @ axes.T
    reach = camera.half_height() * np.ones(len(local))
    if camera.parallel_scale_mm is None:
        # Behind the eye there is no picture; such triangles are passed over by their depth.
        reach = reach * np.maximum(local[:, 2], _NEAR_MM)
        local[local[:, 2] < _NEAR_MM, 2] = -np.inf
    corners = np.empty((len(local), 3), np.float32)
    corners[:, 0] = 0.5 * width - 0.5 + 0.5 * height * local[:, 0] / reach
    corners[:, 1] = 0.5 * height - 0.5 - 0.5 * height * local[:, 1] / reach
    corners[:, 2] = local[:, 2]
    normals = find_normals(mesh.vertices_lps_mm, mesh.triangles) if mesh.normals_lps is None else mesh.normals_lps
    return corners, normals @ (axes * [[1.0], [1.0], [-1.0]]).T.astype(np.float32)


@kernel
def _fill(  # noqa: PLR0917  # kernels take no objects
    corners: Any,
    normals: Any,
    triangles: Any,
    smooth: Any,
    rgba: Any,
    lamp: Any,
    look: Any,
    first: Any,
    beyond: Any,
    colour: Any,
    depth_mm: Any,
) -> Any:
    """Draw all triangles into rows `first` to `beyond`; edges through pixel centres belong to both neighbours."""
    width = colour.shape[1]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = corners[a, 0], corners[a, 1], corners[a, 2]
        bx, by, bz = corners[b, 0], corners[b, 1], corners[b, 2]
        cx, cy, cz = corners[c, 0], corners[c, 1], corners[c, 2]
        nearest = min(az, bz, cz)
        if not nearest > np.float32(-1e30):
            continue
        top = max(first, int(np.ceil(min(ay, by, cy))))
        bottom = min(beyond - 1, int(np.floor(max(ay, by, cy))))
        left = max(0, int(np.ceil(min(ax, bx, cx))))
        right = min(width - 1, int(np.floor(max(ax, bx, cx))))
        if top > bottom or left > right:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < np.float32(1e-9):
            continue
        inverse = np.float32(1) / area
        flat_x = flat_y = flat_z = np.float32(0)
        if not smooth:
            flat_x = normals[a, 0] + normals[b, 0] + normals[c, 0]
            flat_y = normals[a, 1] + normals[b, 1] + normals[c, 1]
            flat_z = normals[a, 2] + normals[b, 2] + normals[c, 2]
        for row in range(top, bottom + 1):
            y = np.float32(row)
            for column in range(left, right + 1):
                x = np.float32(column)
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
                w = np.float32(1) - u - v
                if u < np.float32(-1e-6) or v < np.float32(-1e-6) or w < np.float32(-1e-6):
                    continue
                z = u * az + v * bz + w * cz
                if z >= depth_mm[row, column]:
                    continue
                depth_mm[row, column] = z
                nx, ny, nz = flat_x, flat_y, flat_z
                if smooth:
                    nx = u * normals[a, 0] + v * normals[b, 0] + w * normals[c, 0]
                    ny = u * normals[a, 1] + v * normals[b, 1] + w * normals[c, 1]
                    nz = u * normals[a, 2] + v * normals[b, 2] + w * normals[c, 2]
                length = np.float32(1) / max(np.sqrt(nx * nx + ny * ny + nz * nz), np.float32(1e-9))
                if nz < np.float32(0):
                    length = -length
                facing = max(np.float32(0), (nx * lamp[0, 0] + ny * lamp[0, 1] + nz * lamp[0, 2]) * length)
                halfway = max(np.float32(0), (nx * lamp[1, 0] + ny * lamp[1, 1] + nz * lamp[1, 2]) * length)
                lit = look[0] + look[1] * facing
                shine = look[2] * halfway ** look[3]
                for channel in range(3):
                    colour[row, column, channel] = rgba[3] * min(np.float32(1), rgba[channel] * lit + shine)
                colour[row, column, 3] = rgba[3]

"""Two other ways to draw a volume, to judge ours by: brute force in tiny steps, and VTK's own ray caster."""

from __future__ import annotations

import importlib
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from gantry_imaging.volume import Volume
from gantry_render.engine.vtk_gpu import aim, image_of, matrix_of, property_of
from gantry_render.presets import Shading
from gantry_render.scene import Scene


def object_ssim(first: NDArray[np.uint8], second: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Return the mean structural similarity of two pictures' luminance (Wang 2004, 7 x 7 windows) where `mask` holds."""
    a, b = (picture.astype(np.float64) @ (0.299, 0.587, 0.114) for picture in (first, second))
    mean_a, mean_b = uniform_filter(a, 7), uniform_filter(b, 7)
    var_a, var_b = uniform_filter(a * a, 7) - mean_a**2, uniform_filter(b * b, 7) - mean_b**2
    both = uniform_filter(a * b, 7) - mean_a * mean_b
    steady, sharp = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = (2 * mean_a * mean_b + steady) * (2 * both + sharp)
    similar /= (mean_a**2 + mean_b**2 + steady) * (var_a + var_b + sharp)
    return float(similar[mask].mean())


def draw_reference(volume: Volume, scene: Scene, step_mm: float = 0.1) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw a composite preset with a headlight and a parallel camera by brute force.

    Every step is classified by itself, nothing is skipped but air, nothing ends early but rays that are spent.

    Returns
    -------
    rgb
        uint8 (height, width, 3).
    mask
        Where a pixel is at least half covered.
    """
    shading = scene.preset.shading or Shading(ambient=1.0, diffuse=0.0, specular=0.0)
    at = np.arange(-2000.0, 4000.0, 0.25)
    values, opacities = zip(*scene.preset.opacity, strict=True)
    points, *channels = zip(*scene.preset.colour, strict=True)
    opacity = 1 - (1 - np.clip(np.interp(at, values, opacities), 0, 0.9999)) ** step_mm
    table = np.stack([opacity, *(np.interp(at, points, channel) for channel in channels)], axis=1)
    axes, inverse = scene.camera.axes_lps, volume.ijk_from_lps
    assert scene.camera.parallel_scale_mm is not None  # parallel views alone
    eye = inverse[:3, :3] @ np.asarray(scene.camera.position_lps_mm) + inverse[:3, 3]
    rays = np.stack([eye, *(inverse[:3, :3] @ axis for axis in axes)])
    normal_from = (axes * [[1.0], [1.0], [-1.0]]) @ inverse[:3, :3].T
    rgba = np.zeros((scene.height, scene.width, 4))
    voxels = np.ascontiguousarray(volume.voxels_kji)
    scale = scene.camera.parallel_scale_mm
    _march(voxels, rays, normal_from, table, float(values[0]), scale, step_mm, shading.ambient, shading.diffuse, rgba)
    return np.clip(rgba[..., :3] * 255 + 0.5, 0, 255).astype(np.uint8), rgba[..., 3] > 0.5


class FixedPoint:
    """VTK's vtkFixedPointVolumeRayCastMapper at full sampling: every pixel, steps as long as the smallest spacing."""

    def __init__(self, volume: Volume) -> None:
        from vtkmodules.vtkRenderingCore import vtkRenderer, vtkVolume
        from vtkmodules.vtkRenderingOpenGL2 import vtkEGLRenderWindow

        # What shows a cast picture registers itself on import.
        importlib.import_module("vtkmodules.vtkRenderingVolumeOpenGL2")
        from vtkmodules.vtkRenderingVolume import vtkFixedPointVolumeRayCastMapper

        self._voxels = np.ascontiguousarray(volume.voxels_kji)
        mapper = vtkFixedPointVolumeRayCastMapper()
        mapper.SetInputData(image_of(self._voxels, volume))
        mapper.AutoAdjustSampleDistancesOff()
        mapper.LockSampleDistanceToInputSpacingOff()
        mapper.SetImageSampleDistance(1.0)
        mapper.SetSampleDistance(float(volume.spacing_ijk_mm.min()))
        self._actor = vtkVolume()
        self._actor.SetMapper(mapper)
        self._actor.SetUserMatrix(matrix_of(volume))
        self._renderer = vtkRenderer()
        self._renderer.AddVolume(self._actor)
        self._window = vtkEGLRenderWindow()
        self._window.SetMultiSamples(0)
        self._window.AddRenderer(self._renderer)

    def prepare(self, scene: Scene) -> None:
        """Set preset, size and camera."""
        self._actor.SetProperty(property_of(scene.preset))
        self._window.SetSize(scene.width, scene.height)
        self.look(scene)

    def look(self, scene: Scene) -> None:
        """Set the camera alone."""
        aim(self._renderer, scene)

    def draw(self) -> None:
        """Render into the window."""
        self._window.Render()

    def grab(self) -> NDArray[np.uint8]:
        """Return what was rendered, (height, width, 3)."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

        filter_ = vtkWindowToImageFilter()
        filter_.SetInput(self._window)
        filter_.ReadFrontBufferOff()
        filter_.ShouldRerenderOff()
        filter_.Update()
        image = filter_.GetOutput()
        width, height, _ = image.GetDimensions()
        flat: NDArray[Any] = vtk_to_numpy(image.GetPointData().GetScalars())  # type: ignore[no-untyped-call]  # VTK's
        return np.ascontiguousarray(flat.reshape(height, width, 3)[::-1])


@numba.njit(cache=True, parallel=False, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]  # numba's
def _at(voxels: Any, x: float, y: float, z: float) -> float:
    slices, rows, columns = voxels.shape
    x, y, z = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0), min(max(z, 0.0), slices - 1.0)
    i, j, k = min(int(x), columns - 2), min(int(y), rows - 2), min(int(z), slices - 2)
    u, v, w = x - i, y - j, z - k
    total = 0.0
    for corner in range(8):
        a, b, c = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
        total += weight * voxels[k + c, j + b, i + a]
    return total


@numba.njit(cache=True, parallel=False, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]  # numba's
def _march(
    voxels: Any,
    rays: Any,
    normal_from: Any,
    table: Any,
    lowest: float,
    scale: float,
    step_mm: float,
    ambient: float,
    diffuse: float,
    rgba: Any,
) -> None:
    slices, rows, columns = voxels.shape
    height, width = rgba.shape[0], rgba.shape[1]
    side = np.array([columns - 0.5, rows - 0.5, slices - 0.5])
    for row in range(height):
        for column in range(width):
            across = (column + 0.5 - width / 2) / (height / 2) * scale
            up = (height / 2 - row - 0.5) / (height / 2) * scale
            start = rays[0] + across * rays[1] + up * rays[2]
            near, far = -1e9, 1e9
            for axis in range(3):
                towards = rays[3, axis]
                if abs(towards) < 1e-12:
                    if not -0.5 <= start[axis] <= side[axis]:
                        far = -1e9
                    continue
                first, second = (-0.5 - start[axis]) / towards, (side[axis] - start[axis]) / towards
                near, far = max(near, min(first, second)), min(far, max(first, second))
            through = 1.0
            depth = near + 0.5 * step_mm
            while depth < far and through > 0.003:
                x, y, z = (
                    start[0] + depth * rays[3, 0],
                    start[1] + depth * rays[3, 1],
                    start[2] + depth * rays[3, 2],
                )
                value = _at(voxels, x, y, z)
                depth += step_mm
                if value <= lowest:
                    continue
                entry = min(max(int((value + 2000.0) * 4 + 0.5), 0), table.shape[0] - 1)
                alpha = table[entry, 0]
                if alpha <= 0:
                    continue
                gx = _at(voxels, x + 1, y, z) - _at(voxels, x - 1, y, z)
                gy = _at(voxels, x, y + 1, z) - _at(voxels, x, y - 1, z)
                gz = _at(voxels, x, y, z + 1) - _at(voxels, x, y, z - 1)
                nx = normal_from[0, 0] * gx + normal_from[0, 1] * gy + normal_from[0, 2] * gz
                ny = normal_from[1, 0] * gx + normal_from[1, 1] * gy + normal_from[1, 2] * gz
                nz = normal_from[2, 0] * gx + normal_from[2, 1] * gy + normal_from[2, 2] * gz
                length = np.sqrt(nx * nx + ny * ny + nz * nz)
                light = ambient + diffuse * (abs(nz) / length if length > 1e-6 else 0.0)
                for channel in range(3):
                    rgba[row, column, channel] += through * alpha * light * table[entry, 1 + channel]
                through *= 1 - alpha
            rgba[row, column, 3] = 1 - through

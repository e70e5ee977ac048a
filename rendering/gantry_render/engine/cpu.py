"""The engine for machines without a graphics processor: our own ray caster on every core."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_render.engine import project, raycast, rays
from gantry_render.engine.bricks import (
    Bricks,
    build_bricks,
    halve,
    halve_labels,
    mark_bricks,
    mark_cells,
    measure_distances,
    predict_bytes,
    soften_labels,
)
from gantry_render.engine.jit import in_bands, plain
from gantry_render.engine.mesh import draw_meshes
from gantry_render.engine.port import Picture
from gantry_render.engine.transfer import LEVELS, StepTables, build_tables, visible_intervals
from gantry_render.errors import EngineError, FrameCancelledError, SceneError
from gantry_render.presets import Blend, Preset, Shading
from gantry_render.scene import LabelOverlay, Scene, Tier

_T = TypeVar("_T")

# Steps as a part of the smallest voxel spacing: the tables allow long ones, thin cortex does not.
_STEP: Final = 0.75
# Moving frames go through a volume of half the resolution if it is still one.
_HALVED_FROM: Final = 16
# What is kept per volume, least recently used out: tables, ways past what is empty, overlays; of each, for both tiers.
_KEPT: Final = 6
# Places in a volume are counted in 32 bits.
_MAX_VOXELS: Final = 2**31 - 1
# The far faces lie this far inside, in voxels, so that every sample has its eight voxels.
_INSIDE: Final = 1e-3
_NO_LIGHT: Final = Shading(ambient=1.0, diffuse=0.0, specular=0.0)
# Between these percentiles of its values lies a volume in units of its own.
_OWN_RANGE: Final = (1.0, 99.9)


class CpuEngine:
    """Draws with numba on every core that the process may use."""

    name = "cpu-raycast"

    def predicted_bytes(self, shape_kji: tuple[int, int, int], bytes_per_voxel: int) -> int:
        """Return bricks and distance fields; voxels that are not 16-bit are copied."""
        voxels = math.prod(shape_kji)
        copied = voxels // 4 + (0 if bytes_per_voxel == 2 else 2 * voxels)
        bricks = predict_bytes(shape_kji)
        return copied + bricks + bricks // 4 + (_KEPT // 2) * bricks * 9 // 13 + (_KEPT // 2) * 20 * LEVELS**2

    def load(self, volume: Volume, half_kji: NDArray[Any] | None = None) -> "CpuVolume":
        """Find the range of every brick; 16-bit voxels are drawn where they lie.

        Parameters
        ----------
        half_kji
            The volume in half the resolution, as `bricks.halve` makes it of int16 voxels, where a pack has it; it is
            used where it lies.

        Raises
        ------
        EngineError
            `engine.too_large` for 2**31 voxels and more.
        """
        return CpuVolume(volume, half_kji)


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Voxels that rays go through, as 16-bit, with their bricks; `volume` tells only where they lie."""

    voxels: NDArray[np.int16]
    bricks: Bricks
    ijk_from_lps: NDArray[np.float64]
    step_mm: float
    stride: int


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """Past what a preset hides: bricks to the next that shows something, and the cells that do, eight bytes a brick."""

    distances: NDArray[np.uint8]
    cells: NDArray[np.uint8]

    @property
    def size_bytes(self) -> int:
        return self.distances.nbytes + self.cells.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class _Overlay:
    """A label map made ready: labels and their smoothed mask, flat, and the bricks that hold any.

    `source` is held so that its id, by which it is found again, stays its own.
    """

    source: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    soft: NDArray[np.uint8]
    marked: NDArray[np.bool_]

    @property
    def size_bytes(self) -> int:
        return self.soft.nbytes + self.marked.nbytes


class CpuVolume:
    """A volume ready for the ray caster. Stored value = (value - intercept) / slope."""

    def __init__(self, volume: Volume, half_kji: NDArray[np.int16] | None = None) -> None:
        if volume.voxels_kji.size > _MAX_VOXELS:
            raise EngineError("engine.too_large", "A volume of this many voxels cannot be drawn on the processor.")
        self._volume = volume
        self._lock = threading.Lock()
        self._under_way = 0
        self._idle = threading.Condition(self._lock)
        self._closed = False
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._given_half: NDArray[np.int16] | None = None
        self._voxels, self._slope, self._intercept = _to_16_bit(volume.voxels_kji)
        spacing_mm = float(volume.spacing_ijk_mm.min())
        settled = _Grid(self._voxels, build_bricks(self._voxels), volume.ijk_from_lps, spacing_mm * _STEP, 1)
        self._grids = {Tier.SETTLED: settled, Tier.MOTION: settled}
        if min(self._voxels.shape) >= _HALVED_FROM:
            half = halve(self._voxels) if half_kji is None or not self._is_half(half_kji) else half_kji
            self._given_half = half_kji if half is half_kji else None
            # The middle of a cube of two is half a voxel beyond its first.
            inverse = volume.ijk_from_lps / 2
            inverse[:3, 3] -= 0.25
            self._grids[Tier.MOTION] = _Grid(half, build_bricks(half), inverse, 2 * spacing_mm * _STEP, 2)

    @property
    def size_bytes(self) -> int:
        """Memory held now beside the caller's voxels."""
        with self._lock:
            kept = sum(_size(value) for value in self._kept.values())
        grids = {id(grid): grid for grid in self._grids.values()}.values()
        own = sum(grid.voxels.nbytes for grid in grids if not self._is_callers(grid.voxels))
        return own + kept + sum(grid.bricks.size_bytes for grid in grids)

    def render(self, scene: Scene, cancelled: Callable[[], bool] | None = None) -> Picture:
        """Draw on every core; `cancelled` is asked before every band of rows."""
        with self._lock:
            if self._closed:
                raise EngineError("engine.closed", "The volume was closed.")
            self._under_way += 1
        try:
            preset = scene.preset.scaled(
                *(self._own_range if scene.preset.relative else (0.0, 1.0)), scene.window_shift, scene.window_scale
            )
            if preset.blend is Blend.COMPOSITE:
                return self._composite(scene, self._stored(preset), cancelled)
            return self._project(scene, preset, cancelled)
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def close(self) -> None:
        """Overwrite what was copied, once drawing has ended."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: self._under_way == 0)
            for kept in self._kept.values():
                if isinstance(kept, _Overlay):
                    kept.soft[:] = 0
            self._kept.clear()
            for grid in self._grids.values():
                if not self._is_callers(grid.voxels):
                    grid.voxels[:] = 0

    def _is_callers(self, voxels_kji: NDArray[np.int16]) -> bool:
        return np.may_share_memory(voxels_kji, self._volume.voxels_kji) or voxels_kji is self._given_half

    def _is_half(self, half_kji: NDArray[Any]) -> bool:
        """Say whether a given volume is one of the voxels that are drawn: those that were given, in half the size."""
        sides = tuple(side // 2 for side in self._voxels.shape)
        return half_kji.dtype == np.int16 and half_kji.shape == sides and self._is_callers(self._voxels)

    @cached_property
    def _own_range(self) -> tuple[float, float]:
        sample = self._voxels.reshape(-1)[:: max(1, self._voxels.size // 200_000)]
        low, high = np.percentile(sample, _OWN_RANGE) * self._slope + self._intercept
        return float(low), float(max(high, low + 1e-6))

    def _stored(self, preset: Preset) -> Preset:
        """Return a preset for the stored values."""
        if self._slope == 1.0 and self._intercept == 0.0:
            return preset
        points = tuple(((value - self._intercept) / self._slope, opacity) for value, opacity in preset.opacity)
        colours = tuple(((value - self._intercept) / self._slope, r, g, b) for value, r, g, b in preset.colour)
        return Preset(points, colours, preset.shading, preset.blend)

    def _composite(self, scene: Scene, preset: Preset, cancelled: Callable[[], bool] | None) -> Picture:
        grid = self._grids[scene.tier]
        step_mm = grid.step_mm
        lowest, highest = float(grid.bricks.low_kji.min()), float(grid.bricks.high_kji.max())
        tables = self._keep(("tables", preset, step_mm), lambda: build_tables(preset, step_mm, lowest, highest))
        overlay = None if scene.overlay is None else self._overlay(scene.overlay, grid.stride)
        marked = None if overlay is None else overlay.marked
        ways = self._keep(
            ("ways", grid.stride, preset.opacity, overlay), lambda: _find_ways(grid, visible_intervals(preset), marked)
        )
        if cancelled is not None and cancelled():
            raise FrameCancelledError
        shading = preset.shading or _NO_LIGHT
        view, spread, near = _see(scene, grid)
        light = np.array(shading.light) / np.linalg.norm(shading.light)
        halfway = np.add(light, (0.0, 0.0, 1.0))
        halfway /= np.linalg.norm(halfway)
        look = np.zeros(9, np.float32)
        look[raycast.STEP], look[raycast.NEAR], look[raycast.SPREAD] = step_mm, near, spread
        look[raycast.LEVEL_LOW], look[raycast.LEVEL_SCALE] = tables.low, tables.scale
        look[raycast.AMBIENT], look[raycast.DIFFUSE] = shading.ambient, shading.diffuse
        look[raycast.SPECULAR], look[raycast.FLAT] = shading.specular, shading.ambient + 0.6 * shading.diffuse
        gloss = (np.linspace(0, 1, 256) ** shading.power).astype(np.float32)
        # Gradients are covectors: the inverse transpose of the affine turns them into the patient's frame.
        viewer = scene.camera.axes_lps * [[1.0], [1.0], [-1.0]]
        normal_from = (viewer @ grid.ijk_from_lps[:3, :3].T).astype(np.float32)
        width, height = scene.frame_size
        picture, depth_mm = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.float32)
        meshes: tuple[NDArray[np.float32], NDArray[np.float32]] = np.empty((0, 0, 4), np.float32), depth_mm[:0]
        if scene.meshes:
            meshes = draw_meshes(scene.meshes, scene.camera, width, height, shading)
        nothing = np.zeros(0, np.uint8)
        arguments: list[Any] = [
            plain(grid.voxels),
            grid.voxels.shape,
            ways.distances.reshape(-1),
            ways.cells,
            ways.distances.shape,
            view,
            look,
            normal_from,
            np.stack([light, halfway]).astype(np.float32),
            gloss,
            tables.alpha.reshape(-1),
            tables.light.reshape(-1),
            overlay is not None,
            nothing if overlay is None else overlay.soft,
            nothing if overlay is None else overlay.labels,
            np.zeros(0, np.float32) if scene.overlay is None else _label_colours(scene.overlay, step_mm),
            bool(scene.meshes),
            *meshes,
            np.array(scene.background, np.float32),
        ]
        cast: Callable[..., None] = raycast.cast_band
        in_bands(lambda first, beyond: cast(*arguments, first, beyond, picture, depth_mm), height, cancelled=cancelled)
        return Picture(picture, depth_mm)

    def _project(self, scene: Scene, preset: Preset, cancelled: Callable[[], bool] | None) -> Picture:
        values = self.project(scene, 1 if preset.blend is Blend.MIP else -1, cancelled, enclosed_by=preset.enclosed_by)
        ramp, grey = (np.array(column) for column in zip(*preset.opacity, strict=True))
        weight = np.interp(values, ramp, grey).astype(np.float32)
        at, *channels = (np.array(column) for column in zip(*preset.colour, strict=True))
        rgb = np.stack([np.interp(values, at, channel) for channel in channels], axis=2) * weight[..., np.newaxis]
        picture = np.where(np.isnan(values)[..., np.newaxis], scene.background, rgb * 255 + 0.5).astype(np.uint8)
        depth_mm = np.full(values.shape, np.inf, np.float32)
        if scene.meshes:
            # A projection has no depth; findings are drawn over it.
            shading = preset.shading or Shading()
            colour, depth_mm = draw_meshes(scene.meshes, scene.camera, values.shape[1], values.shape[0], shading)
            under = picture * (1 - colour[..., 3:]) + 255 * colour[..., :3]
            picture = np.where(np.isfinite(depth_mm)[..., np.newaxis], np.clip(under + 0.5, 0, 255), picture).astype(
                np.uint8
            )
        return Picture(picture, depth_mm)

    def project(
        self,
        scene: Scene,
        sign: int,
        cancelled: Callable[[], bool] | None = None,
        *,
        enclosed_by: float | None = None,
    ) -> NDArray[np.float32]:
        """Return the highest (1) or lowest (-1) value on each line of sight, (height, width), NaN where there is none.

        With `enclosed_by` the lowest between two values of at least that.
        """
        grid = self._grids[scene.tier]
        view, spread, near = _see(scene, grid)
        width, height = scene.frame_size
        values = np.empty((height, width), np.float32)
        bound, other = grid.bricks.high_kji, grid.bricks.low_kji
        if sign < 0:
            bound, other = other, bound
        wall = np.float32(0.0 if enclosed_by is None else (enclosed_by - self._intercept) / self._slope)
        enclosed = (enclosed_by is not None and sign < 0, wall)
        numbers = (np.float32(sign), view, np.float32(grid.step_mm), np.float32(near), np.float32(spread))
        flat, shape, bricks = plain(grid.voxels), grid.voxels.shape, bound.shape
        bounds = bound.reshape(-1), other.reshape(-1)
        in_bands(
            lambda first, beyond: project.project_band(
                flat, shape, *bounds, bricks, *enclosed, *numbers, first, beyond, values
            ),
            height,
            cancelled=cancelled,
        )
        scaled: NDArray[np.float32] = values * np.float32(self._slope) + np.float32(self._intercept)
        return scaled

    def _overlay(self, overlay: LabelOverlay, stride: int) -> _Overlay:
        if overlay.labels_kji.shape != self._volume.shape_kji:
            raise SceneError("scene.bad_overlay", "The label map does not lie on the volume's grid.")
        return self._keep(
            ("overlay", id(overlay.labels_kji), stride), lambda: _prepare_overlay(overlay.labels_kji, stride)
        )

    def _keep(self, key: Hashable, make: Callable[[], _T]) -> _T:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: _T = self._kept[key]
                return found
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made


def _see(scene: Scene, grid: _Grid) -> tuple[NDArray[np.float32], float, float]:
    """Return a camera's rays in voxel indices, as `rays` lists them, with spread and near depth.

    Spread is the square of what a unit across adds to a ray's direction; 0 for parallel rays, whose near depth is
    far behind the eye.
    """
    camera = scene.camera
    right, up, forward = camera.axes_lps
    half = camera.half_height()
    turn = grid.ijk_from_lps[:3, :3]
    view = np.zeros((10, 3))
    view[rays.ORIGIN] = turn @ np.asarray(camera.position_lps_mm) + grid.ijk_from_lps[:3, 3]
    view[rays.TOWARDS] = turn @ forward
    parallel = camera.parallel_scale_mm is not None
    across = rays.ORIGIN_X if parallel else rays.TOWARDS_X
    view[across], view[across + 1] = half * (turn @ right), half * (turn @ up)
    sides = np.array(grid.voxels.shape[::-1], np.float64)
    view[rays.LOW], view[rays.HIGH] = -0.5, sides - 0.5
    if scene.crop is not None:
        corners = (np.array([scene.crop.low_ijk, scene.crop.high_ijk]) + 0.5) / grid.stride - 0.5
        view[rays.LOW], view[rays.HIGH] = np.clip(corners, -0.5, sides - 0.5)
    last = sides - 1 - _INSIDE
    view[rays.SAMPLED_LOW] = np.clip(view[rays.LOW], 0.0, last)
    view[rays.SAMPLED_HIGH] = np.clip(view[rays.HIGH], 0.0, last)
    return view.astype(np.float32), 0.0 if parallel else half * half, -1e6 if parallel else 1e-3


def _to_16_bit(voxels_kji: NDArray[Any]) -> tuple[NDArray[np.int16], float, float]:
    """Return int16 voxels of at least two a side, with slope and intercept of what they stand for."""
    thin = [(0, max(0, 2 - side)) for side in voxels_kji.shape]
    if any(pad for _, pad in thin):
        voxels_kji = np.pad(voxels_kji, thin, mode="edge")
    if voxels_kji.dtype == np.int16:
        return np.ascontiguousarray(voxels_kji), 1.0, 0.0
    if voxels_kji.dtype.kind in "iub" and np.can_cast(voxels_kji.dtype, np.int16, "safe"):
        return voxels_kji.astype(np.int16), 1.0, 0.0
    low, high = float(np.nanmin(voxels_kji)), float(np.nanmax(voxels_kji))
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if voxels_kji.dtype.kind in "iu" and low >= -32768 and high <= 32767:
        return voxels_kji.astype(np.int16), 1.0, 0.0
    slope = (high - low) / 65000 or 1.0
    intercept = low + 32500 * slope
    stored = np.empty(voxels_kji.shape, np.int16)
    for k, plane in enumerate(voxels_kji):
        scaled = np.nan_to_num((plane.astype(np.float64) - intercept) / slope, nan=-32500, posinf=32500, neginf=-32500)
        stored[k] = np.rint(scaled)
    return stored, slope, intercept


def _prepare_overlay(labels_kji: NDArray[np.uint8], stride: int) -> _Overlay:
    source = labels_kji
    if stride > 1:
        labels_kji = halve_labels(labels_kji)
    thin = [(0, max(0, 2 - side)) for side in labels_kji.shape]
    labels = np.ascontiguousarray(np.pad(labels_kji, thin, mode="edge") if any(p for _, p in thin) else labels_kji)
    soft = soften_labels(labels)
    return _Overlay(source, plain(labels), soft.reshape(-1), mark_bricks(soft))


def _find_ways(grid: _Grid, intervals: NDArray[np.float32], marked: NDArray[np.bool_] | None) -> _Ways:
    distances = measure_distances(grid.bricks, intervals, marked)
    return _Ways(distances, mark_cells(grid.voxels, distances, intervals, marked).reshape(-1).view(np.uint8))


def _label_colours(overlay: LabelOverlay, step_mm: float) -> NDArray[np.float32]:
    """Colours by label; full opacity is reached within about 2 mm of a segment, others let through their part."""
    colours = np.zeros((256, 4), np.float32)
    for label, (red, green, blue, opacity) in overlay.colours.items():
        colours[label] = red, green, blue, 1 - (1 - min(opacity, 0.995)) ** (step_mm / 2)
    return colours.reshape(-1)


def _size(kept: object) -> int:
    if isinstance(kept, StepTables):
        return kept.alpha.nbytes + kept.light.nbytes
    if isinstance(kept, _Overlay | _Ways):
        return kept.size_bytes
    return kept.nbytes if isinstance(kept, np.ndarray) else 0

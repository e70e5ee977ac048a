"""What is to be seen: absolute, frozen view states. Points and directions lie in the patient's LPS frame, millimetres."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_render.errors import SceneError
from gantry_render.presets import Preset
from gantry_render.protocol import SlabMode

Vector: TypeAlias = tuple[float, float, float]

_MAX_SIDE_PIXELS: Final = 4096
_MAX_PIXELS: Final = 1 << 23


class Tier(StrEnum):
    """How much work a frame is worth: half the resolution and longer steps while it moves, everything when still."""

    MOTION = "motion"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the eye is and what it looks at.

    Parameters
    ----------
    position_lps_mm, focal_point_lps_mm, view_up_lps
        Eye, what it looks at, and the direction that is up in the picture (need not be at a right angle).
    parallel_scale_mm
        Half the height of the picture in a parallel projection, which shows all that lies on the line of sight,
        also behind the eye; None for perspective.
    view_angle_deg
        Vertical angle of view in perspective; nothing behind the eye is seen.

    Raises
    ------
    SceneError
        `scene.bad_camera` where no view follows from the numbers.
    """

    position_lps_mm: Vector
    focal_point_lps_mm: Vector
    view_up_lps: Vector
    parallel_scale_mm: float | None = None
    view_angle_deg: float = 30.0

    def __post_init__(self) -> None:
        numbers = [*self.position_lps_mm, *self.focal_point_lps_mm, *self.view_up_lps, self.view_angle_deg]
        scale = 1.0 if self.parallel_scale_mm is None else self.parallel_scale_mm
        if not all(map(math.isfinite, [*numbers, scale])) or scale <= 0 or not 0 < self.view_angle_deg < 170:
            raise SceneError(
                "scene.bad_camera", "The camera's numbers are not finite, or its angle or scale shows nothing."
            )
        forward = np.subtract(self.focal_point_lps_mm, self.position_lps_mm)
        length, up = float(np.linalg.norm(forward)), float(np.linalg.norm(self.view_up_lps))
        if (
            length < 1e-6
            or up < 1e-6
            or float(np.linalg.norm(np.cross(forward / length, self.view_up_lps))) < 1e-6 * up
        ):
            raise SceneError("scene.bad_camera", "The camera looks nowhere, or along its own view up.")

    @property
    def axes_lps(self) -> NDArray[np.float64]:
        """Rows: right, up and forward in the picture, orthonormal, (3, 3)."""
        forward = np.subtract(self.focal_point_lps_mm, self.position_lps_mm)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, self.view_up_lps)
        right /= np.linalg.norm(right)
        axes: NDArray[np.float64] = np.stack([right, np.cross(right, forward), forward])
        return axes

    def half_height(self) -> float:
        """Half the picture's height: millimetres in parallel projection, else the tangent per unit of depth."""
        if self.parallel_scale_mm is not None:
            return self.parallel_scale_mm
        return math.tan(math.radians(self.view_angle_deg) / 2)

    @classmethod
    def looking_at(cls, volume: Volume, direction_lps: Vector, view_up_lps: Vector, *, zoom: float = 1.0) -> "Camera":
        """Return a parallel view of the whole volume along `direction_lps`.

        Raises
        ------
        SceneError
            `scene.bad_camera`.
        """
        slices, rows, columns = volume.shape_kji
        middle = volume.lps_from_ijk @ [(columns - 1) / 2, (rows - 1) / 2, (slices - 1) / 2, 1.0]
        radius = 0.5 * float(np.linalg.norm(volume.spacing_ijk_mm * [columns, rows, slices]))
        length = float(np.linalg.norm(direction_lps)) or 1.0
        eye = middle[:3] - np.asarray(direction_lps) / length * 2 * radius
        return cls(_vector(eye), _vector(middle[:3]), view_up_lps, parallel_scale_mm=radius / zoom)


@dataclass(frozen=True, slots=True)
class CropBox:
    """The part of the volume that is shown, in voxel indices (i, j, k), voxel centres at integers.

    Raises
    ------
    SceneError
        `scene.bad_crop` for a box that is not finite or has no inside.
    """

    low_ijk: Vector
    high_ijk: Vector

    def __post_init__(self) -> None:
        pairs = list(zip(self.low_ijk, self.high_ijk, strict=True))
        if not all(math.isfinite(low) and math.isfinite(high) and low < high for low, high in pairs):
            raise SceneError("scene.bad_crop", "A crop box needs a low corner below its high corner on every axis.")


@dataclass(frozen=True, slots=True, eq=False)
class LabelOverlay:
    """Segments of a label map on the volume's own grid.

    Parameters
    ----------
    labels_kji
        uint8, 0 for background.
    colours
        Label to red, green, blue and opacity, 0 to 1; labels without an entry are not shown.

    Raises
    ------
    SceneError
        `scene.bad_overlay` for other labels or colours than these.
    """

    labels_kji: NDArray[np.uint8]
    colours: dict[int, tuple[float, float, float, float]]

    def __post_init__(self) -> None:
        if self.labels_kji.ndim != 3 or self.labels_kji.dtype != np.uint8:
            raise SceneError("scene.bad_overlay", "A label overlay is a volume of 8-bit labels.")
        for label, colour in self.colours.items():
            if not 0 < label < 256 or not all(0 <= part <= 1 for part in colour):
                raise SceneError("scene.bad_overlay", f"Label {label} or its colour lies outside what can be shown.")


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceMesh:
    """A triangle surface of a finding.

    Parameters
    ----------
    vertices_lps_mm, triangles
        float32 (N, 3) and int32 (M, 3), counter-clockwise seen from outside.
    colour
        Red, green, blue and opacity, 0 to 1.
    smooth
        Normals averaged at the vertices; otherwise every triangle is flat.
    normals_lps
        Unit normals at the vertices, float32 (N, 3), where they were worked out before (`find_normals`); None has
        every picture work them out.

    Raises
    ------
    SceneError
        `scene.bad_mesh` for arrays of other shapes or a triangle whose corner does not exist.
    """

    vertices_lps_mm: NDArray[np.float32]
    triangles: NDArray[np.int32]
    colour: tuple[float, float, float, float]
    smooth: bool = True
    normals_lps: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        vertices, triangles = self.vertices_lps_mm, self.triangles
        if self.normals_lps is not None and self.normals_lps.shape != vertices.shape:
            raise SceneError("scene.bad_mesh", "A mesh has one normal a point.")
        if vertices.ndim != 2 or vertices.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
            raise SceneError("scene.bad_mesh", "A mesh is an array of points and an array of triples.")
        if triangles.size and not (triangles.min() >= 0 and triangles.max() < len(vertices)):
            raise SceneError("scene.bad_mesh", "A triangle of the mesh has a corner that does not exist.")
        if not np.isfinite(vertices).all() or not all(0 <= part <= 1 for part in self.colour):
            raise SceneError("scene.bad_mesh", "The mesh has points or a colour that are not numbers in range.")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture of a volume.

    Parameters
    ----------
    camera
        The eye.
    width, height
        Pixels of the settled picture; a moving frame has half of each, rounded up, and is enlarged where it is shown.
    preset
        How tissue looks; `gantry_render.presets.get_preset` knows the published ones by name.
    window_shift, window_scale
        What dragging the window in 3D does: the preset's control points are spread around its middle by the factor
        (1 leaves them), then moved by the shift, in the volume's units.
    crop
        Part of the volume, or None for all.
    tier
        Moving or settled.
    overlay, meshes
        Segments and findings in the same picture.
    background
        Red, green and blue, 0 to 255.

    Raises
    ------
    SceneError
        `scene.bad_size` for a picture that is empty or larger than 4096 a side or 8 megapixels, `scene.bad_shift`,
        `scene.bad_scale` for a factor beyond a thousandth or a thousand.
    """

    camera: Camera
    width: int
    height: int
    preset: Preset
    window_shift: float = 0.0
    window_scale: float = 1.0
    crop: CropBox | None = None
    tier: Tier = Tier.SETTLED
    overlay: LabelOverlay | None = None
    meshes: Sequence[SurfaceMesh] = field(default=())
    background: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        sides = 0 < self.width <= _MAX_SIDE_PIXELS and 0 < self.height <= _MAX_SIDE_PIXELS
        if not sides or self.width * self.height > _MAX_PIXELS:
            raise SceneError("scene.bad_size", f"A picture of {self.width} x {self.height} is not possible.")
        if not math.isfinite(self.window_shift):
            raise SceneError("scene.bad_shift", "The window's shift is not a number.")
        if not 1e-3 <= self.window_scale <= 1e3:
            raise SceneError("scene.bad_scale", "The window's factor lies outside a thousandth and a thousand.")

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the frame that is rendered for the tier."""
        if self.tier is Tier.MOTION:
            return (self.width + 1) // 2, (self.height + 1) // 2
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class Plane:
    """A rectangle in patient space, sampled in rows and columns; with a thickness it is a slab.

    Parameters
    ----------
    origin_lps_mm
        Centre of the first pixel.
    row_lps, column_lps
        Unit directions in which the column index and the row index grow, at a right angle.
    spacing_mm
        Between columns and between rows.
    columns, rows
        Pixels.
    slab_mm
        Thickness around the plane; layers lie at most `layer_mm` apart, symmetric to the plane.
    mode
        How layers are joined; `none` looks at the plane alone.
    layer_mm
        Distance between layers.

    Raises
    ------
    SceneError
        `scene.bad_plane`.
    """

    origin_lps_mm: Vector
    row_lps: Vector
    column_lps: Vector
    spacing_mm: tuple[float, float]
    columns: int
    rows: int
    slab_mm: float = 0.0
    mode: SlabMode = SlabMode.NONE
    layer_mm: float = 1.0

    def __post_init__(self) -> None:
        row, column = np.asarray(self.row_lps), np.asarray(self.column_lps)
        numbers = [*self.origin_lps_mm, *self.row_lps, *self.column_lps, *self.spacing_mm, self.slab_mm, self.layer_mm]
        finite = all(map(math.isfinite, numbers)) and min(self.spacing_mm) > 0 and self.slab_mm >= 0 < self.layer_mm
        if not finite or np.abs([row @ row - 1, column @ column - 1, row @ column]).max() > 1e-4:
            raise SceneError("scene.bad_plane", "The plane's directions are not of length one and at a right angle.")
        sides = 0 < self.columns <= _MAX_SIDE_PIXELS and 0 < self.rows <= _MAX_SIDE_PIXELS
        if not sides or self.columns * self.rows > _MAX_PIXELS or self.slab_mm / self.layer_mm > 4096:
            raise SceneError("scene.bad_plane", f"A plane of {self.columns} x {self.rows} pixels is not possible.")

    @property
    def normal_lps(self) -> NDArray[np.float64]:
        """Row direction x column direction, (3,)."""
        return np.cross(self.row_lps, self.column_lps)

    @property
    def layer_offsets_mm(self) -> NDArray[np.float64]:
        """Where the layers lie along the normal, (n,), symmetric to 0."""
        if self.mode is SlabMode.NONE or self.slab_mm == 0:
            return np.zeros(1)
        count = max(1, math.ceil(self.slab_mm / self.layer_mm - 1e-9)) + 1
        return np.linspace(-self.slab_mm / 2, self.slab_mm / 2, count)


def _vector(values: NDArray[Any]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z

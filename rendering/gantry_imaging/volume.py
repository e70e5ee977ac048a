"""Voxels on a regular grid in patient space."""

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gantry_imaging.errors import GeometryError

Voxels: TypeAlias = NDArray[Any]
Affine: TypeAlias = NDArray[np.float64]

# Largest cosine between two grid axes: 1e-4 (0.006 degrees) bends a 500 mm edge by 0.05 mm. Real gantry tilt
# is a hundred times that, and the rounding of a 16-character DICOM decimal string a thousand times less.
_SHEAR_TOLERANCE = 1e-4
# Voxels between a nanometre and a kilometre; anything else is a unit error, and inverts badly.
_SPACING_RANGE_MM = (1e-6, 1e6)


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A scalar image whose geometry cannot lie.

    Parameters
    ----------
    voxels_kji
        Array (slices, rows, columns) in modality units (HU for CT); kept as a read-only view, never copied.
    lps_from_ijk
        4x4 affine from voxel indices (column, row, slice), voxel centres at integers, to millimetres in the
        patient's left-posterior-superior frame (PS3.3 C.7.6.2.1.1).

    Raises
    ------
    GeometryError
        `volume.bad_affine` for a non-finite, singular or sheared affine, `volume.bad_voxels` for an array
        that is not three-dimensional, is empty or does not hold numbers.
    """

    voxels_kji: Voxels
    lps_from_ijk: Affine

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels_kji)
        if voxels.ndim != 3 or voxels.size == 0 or voxels.dtype.kind not in "biuf":
            raise GeometryError(
                "volume.bad_voxels",
                f"A volume needs numbers on three axes, not {voxels.dtype} of shape {voxels.shape}.",
            )
        affine = np.array(self.lps_from_ijk, dtype=np.float64)
        _require_rigid_grid(affine)
        voxels = voxels.view()
        voxels.flags.writeable = False
        affine.flags.writeable = False
        object.__setattr__(self, "voxels_kji", voxels)
        object.__setattr__(self, "lps_from_ijk", affine)

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = self.voxels_kji.shape
        return int(slices), int(rows), int(columns)

    @property
    def spacing_ijk_mm(self) -> NDArray[np.float64]:
        """Distance between voxel centres along i, j and k, shape (3,)."""
        spacing: NDArray[np.float64] = np.linalg.norm(self.lps_from_ijk[:3, :3], axis=0)
        return spacing

    @property
    def direction(self) -> NDArray[np.float64]:
        """Orthonormal 3x3 matrix whose columns are the patient directions of i, j and k."""
        direction: NDArray[np.float64] = self.lps_from_ijk[:3, :3] / self.spacing_ijk_mm
        return direction

    @property
    def origin_lps_mm(self) -> NDArray[np.float64]:
        """Centre of voxel (0, 0, 0), shape (3,)."""
        return self.lps_from_ijk[:3, 3]

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_ijk_mm))

    @property
    def ijk_from_lps(self) -> Affine:
        """Inverse affine: patient millimetres to fractional voxel indices."""
        rotation_scale = np.linalg.inv(self.lps_from_ijk[:3, :3])
        inverse = np.eye(4)
        inverse[:3, :3] = rotation_scale
        inverse[:3, 3] = -rotation_scale @ self.lps_from_ijk[:3, 3]
        return inverse

    def with_voxels(self, voxels_kji: Voxels) -> Self:
        """Return other voxels on the same grid.

        Raises
        ------
        GeometryError
            `volume.bad_voxels` when the shape differs: another shape is another grid.
        """
        if voxels_kji.shape != self.voxels_kji.shape:
            raise GeometryError(
                "volume.bad_voxels",
                f"Voxels of shape {voxels_kji.shape} do not lie on a grid of shape {self.shape_kji}.",
            )
        return type(self)(voxels_kji, self.lps_from_ijk)


def _require_rigid_grid(affine: Affine) -> None:
    """Refuse an affine that is not rotation, reflection, scaling and translation."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise GeometryError("volume.bad_affine", "The affine is not a finite 4x4 matrix.")
    if not np.array_equal(affine[3], (0.0, 0.0, 0.0, 1.0)):
        raise GeometryError("volume.bad_affine", f"The affine ends in {affine[3].tolist()}, not 0 0 0 1.")
    columns = affine[:3, :3]
    spacing_mm = np.linalg.norm(columns, axis=0)
    low_mm, high_mm = _SPACING_RANGE_MM
    if not ((spacing_mm > low_mm) & (spacing_mm < high_mm)).all():
        raise GeometryError("volume.bad_affine", f"The affine is singular: voxel spacing {spacing_mm.tolist()} mm.")
    axes = columns / spacing_mm
    worst_cosine = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if worst_cosine > _SHEAR_TOLERANCE:
        degrees = float(np.degrees(np.arcsin(min(worst_cosine, 1.0))))
        raise GeometryError(
            "volume.bad_affine", f"The affine is sheared: axes {degrees:.2f} degrees off a right angle."
        )

"""The images that a result was made from, in the order of the volume's slices."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from gantry_imaging.volume import Volume

# assemble_volume lets a slice lie half a pixel aside and a tenth of the spacing off the even grid.
_MAX_SHIFT_PIXELS = 0.55
_MAX_SHIFT_SLICES = 0.15
_DIRECTION_TOLERANCE = 1e-3


class SourceMismatchError(ValueError):
    """The source images are not the ones that the volume was made of."""

    code = "outputs.source_mismatch"


def order_sources(sources: Sequence[Dataset], volume: Volume) -> list[Dataset]:
    """Return the single-frame images so that the k-th lies at slice k of the volume.

    Parameters
    ----------
    sources
        Headers of one series, in any order, one per slice.

    Raises
    ------
    SourceMismatchError
        Their number, size, orientation or position differs from the volume's slices: a mask written on them
        would lie elsewhere in the patient than where it was found.
    """
    slices, rows, columns = volume.shape_kji
    if len(sources) != slices:
        raise SourceMismatchError(f"The volume has {slices} slices but {len(sources)} source images were given.")
    if any((source.Rows, source.Columns) != (rows, columns) for source in sources):
        raise SourceMismatchError(f"A source image is not {columns} by {rows} like the volume.")
    if len({source.SeriesInstanceUID for source in sources}) != 1:
        raise SourceMismatchError("The source images belong to more than one series.")
    for source in sources:
        axes = np.asarray(source.ImageOrientationPatient, dtype=np.float64).reshape(2, 3).T
        if np.abs(axes - volume.direction[:, :2]).max() > _DIRECTION_TOLERANCE:
            raise SourceMismatchError("A source image is turned against the volume.")
    return _by_position(sources, volume)


def _by_position(sources: Sequence[Dataset], volume: Volume) -> list[Dataset]:
    origins_lps = np.array([source.ImagePositionPatient for source in sources], dtype=np.float64)
    ijk: NDArray[np.float64] = (volume.ijk_from_lps @ np.c_[origins_lps, np.ones(len(sources))].T)[:3].T
    places = np.rint(ijk[:, 2]).astype(int)
    in_plane_pixels, along_slices = np.abs(ijk[:, :2]).max(), np.abs(ijk[:, 2] - places).max()
    if in_plane_pixels > _MAX_SHIFT_PIXELS or along_slices > _MAX_SHIFT_SLICES:
        raise SourceMismatchError("A source image does not lie on a slice of the volume.")
    if sorted(places) != list(range(len(sources))):
        raise SourceMismatchError("Two source images lie on one slice of the volume.")
    return [sources[index] for index in np.argsort(places)]

"""From HU at the scanner's resolution to the model's grid and back, in numpy and scipy alone."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array

from gantry_imaging.volume import Volume

FloatArray: TypeAlias = NDArray[np.float32]


class SpecError(ValueError):
    """A card's settings that the transforms do not know or cannot use."""

    code = "card.bad_settings"


class _FromCard:
    """Builds a frozen settings object from a card's mapping, refusing unknown names."""

    @classmethod
    def from_card(cls, settings: Mapping[str, Any]) -> Self:
        """Return the settings of a card, defaults where it is silent.

        Raises
        ------
        SpecError
            The card names a setting that does not exist, or gives one that is not a number.
        """
        known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]  # every subclass is a dataclass
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise SpecError(f"Unknown settings {unknown}. Known: {sorted(known)}.")
        for name, value in settings.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise SpecError(f"{name} is {value!r}, not a number.")
        whole = {name for name, item in known.items() if isinstance(item.default, int)}
        return cls(**{name: int(value) if name in whole else float(value) for name, value in settings.items()})


@dataclass(frozen=True, slots=True)
class PreprocessSpec(_FromCard):
    """How a slice becomes the network's input.

    Parameters
    ----------
    size
        Rows and columns of the model's grid.
    neighbour_mm
        Distance to the slices below and above that are the first and third channel.
    finest_mm
        The grid is never finer than this, however small the body.
    body_hu, margin_mm
        What counts as body when the field is cropped to it, and the air kept around.
    low_hu, high_hu, unit_hu
        HU are clipped to low..high and divided by unit.
    batch
        Slices per request.
    """

    size: int = 256
    neighbour_mm: float = 3.0
    finest_mm: float = 1.0
    body_hu: float = -250.0
    margin_mm: float = 8.0
    low_hu: float = -500.0
    high_hu: float = 1500.0
    unit_hu: float = 500.0
    batch: int = 4


@dataclass(frozen=True, slots=True)
class PostprocessSpec(_FromCard):
    """How the network's probabilities become labels at the scanner's resolution.

    Parameters
    ----------
    soft_hu, edge_hu, brightest_edge_hu, reach_mm
        A blurred edge lies half way between soft tissue and the brightest HU within reach, but within these bounds.
    edge_width_hu, edge_weight
        Where the network is unsure, HU decide: log odds grow by weight * clip((HU - edge) / width, -1, 1).
    dark_weight
        The same below the edge; smaller, since marrow is dark too.
    hole_mm2
        Enclosed holes of a slice up to this area are bone.
    smallest_mm3
        Connected parts below this volume are dropped.
    certain
        A part that nowhere reaches this probability is dropped.
    """

    threshold: float = 0.5
    soft_hu: float = 50.0
    edge_hu: float = 160.0
    brightest_edge_hu: float = 400.0
    reach_mm: float = 2.5
    edge_width_hu: float = 120.0
    edge_weight: float = 0.75
    dark_weight: float = 0.75
    hole_mm2: float = 20.0
    smallest_mm3: float = 80.0
    certain: float = 0.8


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the model's square grid lies over a slice: linear maps between the two resolutions.

    Parameters
    ----------
    rows, columns
        Region of the slice under the grid.
    down_rows, down_columns
        Area-averaging matrices, (size, rows) and (size, columns).
    up_rows, up_columns
        Linear interpolation back, (rows, size) and (columns, size).
    """

    rows: slice
    columns: slice
    down_rows: csr_array
    down_columns: csr_array
    up_rows: csr_array
    up_columns: csr_array
    spacing_mm: float

    def down(self, image: NDArray[Any], outside: float = -1000.0) -> FloatArray:
        """Average a slice (H, W) onto the grid (size, size); `outside` where the grid leaves the slice."""
        offset = image[self.rows, self.columns].astype(np.float32) - np.float32(outside)
        return _apply(self.down_rows, offset, self.down_columns) + np.float32(outside)

    def up(self, image: FloatArray) -> FloatArray:
        """Interpolate the grid (size, size) back over its region of the slice."""
        return _apply(self.up_rows, image, self.up_columns)


def _apply(rows: csr_array, image: FloatArray, columns: csr_array) -> FloatArray:
    """Return rows @ image @ columns.T; sparse maps need no threads of BLAS."""
    return np.ascontiguousarray((columns @ np.ascontiguousarray((rows @ image).T)).T)


def fit_grid(volume: Volume, spec: PreprocessSpec) -> Grid:
    """Lay the model's grid over the body: square pixels, as fine as the body's larger extent allows.

    Cropping to the body gives small people more pixels and makes the field of view irrelevant.
    """
    rows, columns = _body_extent(volume, spec)
    dx, dy = (float(value) for value in volume.spacing_ijk_mm[:2])
    height_mm, width_mm = (rows.stop - rows.start) * dy, (columns.stop - columns.start) * dx
    spacing = max(spec.finest_mm, (max(height_mm, width_mm) + 2 * spec.margin_mm) / spec.size)
    middle = (0.5 * (rows.start + rows.stop - 1), 0.5 * (columns.start + columns.stop - 1))
    count_rows, count_columns = volume.shape_kji[1:]
    return grid_at(middle, spacing, (dy, dx), (count_rows, count_columns), spec.size)


def grid_at(
    middle: tuple[float, float],
    spacing_mm: float,
    pixel_mm: tuple[float, float],
    shape: tuple[int, int],
    size: int,
) -> Grid:
    """Return the grid of `size` pixels of `spacing_mm` centred on pixel `middle` (row, column) of a slice."""
    maps = []
    for centre, pixel, count in zip(middle, pixel_mm, shape, strict=True):
        ratio = spacing_mm / pixel
        places = centre + (np.arange(size) - 0.5 * (size - 1)) * ratio
        low = int(np.clip(np.floor(places[0] - ratio), 0, count - 1))
        high = int(np.clip(np.ceil(places[-1] + ratio) + 1, low + 1, count))
        native = np.arange(low, high)
        # Area averaging when shrinking, linear interpolation when enlarging.
        reach = max(ratio, 1.0)
        distance = np.abs(native[None, :] - places[:, None])
        down = csr_array((np.clip(0.5 * (reach + 1.0) - distance, 0.0, 1.0) / reach).astype(np.float32))
        where = (native - places[0]) / ratio
        up = csr_array(np.clip(1.0 - np.abs(where[:, None] - np.arange(size)), 0.0, 1.0).astype(np.float32))
        maps.append((slice(low, high), down, up))
    (row_span, down_rows, up_rows), (column_span, down_columns, up_columns) = maps
    return Grid(row_span, column_span, down_rows, down_columns, up_rows, up_columns, spacing_mm)


def _body_extent(volume: Volume, spec: PreprocessSpec) -> tuple[slice, slice]:
    """Return the rows and columns of the body: what is connected, and too thick to be a couch."""
    slices, rows, columns = volume.shape_kji
    step = max(1, round(3.0 / float(volume.spacing_ijk_mm[0])))
    coarse = volume.voxels_kji[:: max(1, slices // 24), ::step, ::step] > spec.body_hu
    reach = max(1, round(9.0 / (step * float(volume.spacing_ijk_mm[0]))))
    kernel = np.ones((1, reach, reach), dtype=bool)
    solid = ndimage.binary_opening(coarse, kernel)
    if not solid.any():
        return slice(0, rows), slice(0, columns)
    labels, count = ndimage.label(solid.any(axis=0))
    sizes = ndimage.sum_labels(solid.sum(axis=0), labels, np.arange(1, count + 1))
    keep = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.02 * sizes.max()))
    found_rows, found_columns = np.flatnonzero(keep.any(axis=1)), np.flatnonzero(keep.any(axis=0))
    return (
        slice(int(found_rows[0]) * step, min(rows, (int(found_rows[-1]) + 1) * step)),
        slice(int(found_columns[0]) * step, min(columns, (int(found_columns[-1]) + 1) * step)),
    )


def neighbours(k: int, volume: Volume, spec: PreprocessSpec) -> tuple[int, int, int]:
    """Return the slices that are the three channels of slice `k`: the edge repeats."""
    step = max(1, round(spec.neighbour_mm / float(volume.spacing_ijk_mm[2])))
    return max(0, k - step), k, min(volume.shape_kji[0] - 1, k + step)


def normalise(hu: FloatArray, spec: PreprocessSpec) -> FloatArray:
    """Clip HU and scale them to the network's range."""
    result: FloatArray = np.clip(hu, spec.low_hu, spec.high_hu) / np.float32(spec.unit_hu)
    return result


def refine(probability: FloatArray, hu: FloatArray, pixel_mm2: float, spec: PostprocessSpec) -> NDArray[np.bool_]:
    """Decide bone in a slice from interpolated probability and the HU that the model's grid blurred.

    Parameters
    ----------
    probability, hu
        Arrays (H, W) of one slice at native resolution. Log odds are limited to +-6: a certain network is not
        overruled.
    """
    limit = float(np.log(spec.threshold / (1 - spec.threshold)))
    # Below this probability the brightest HU could not make it bone: most of a slice is decided here.
    hopeless = 1 / (1 + np.exp(spec.edge_weight - limit))
    bone: NDArray[np.bool_] = probability > np.float32(hopeless)
    if not bone.any():
        return bone
    chance = np.clip(probability[bone], 0.0025, 0.9975)
    calm = _calmed(hu)
    reach = 2 * max(1, round(spec.reach_mm / pixel_mm2**0.5)) + 1
    brightest = ndimage.maximum_filter(calm, reach)[bone]
    edge = np.clip(0.5 * (brightest + np.float32(spec.soft_hu)), spec.edge_hu, spec.brightest_edge_hu)
    evidence = np.clip((calm[bone] - edge) / np.float32(spec.edge_width_hu), -1.0, 1.0)
    weight = np.where(evidence > 0, np.float32(spec.edge_weight), np.float32(spec.dark_weight))
    bone[bone] = np.log(chance / (1 - chance)) + weight * evidence > np.float32(limit)
    holes, count = ndimage.label(~bone)
    small = np.bincount(holes.ravel(), minlength=count + 1) * pixel_mm2 <= spec.hole_mm2
    bone |= small[holes] & (holes > 0)
    return bone


def _calmed(hu: FloatArray) -> FloatArray:
    """Return HU averaged with the four neighbours, so that noise decides less."""
    padded = np.pad(hu, 1, mode="edge")
    cross = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    calmed: FloatArray = np.float32(0.5) * hu + np.float32(0.125) * cross
    return calmed


def drop_crumbs(marks_kji: NDArray[np.uint8], voxel_mm3: float, spec: PostprocessSpec) -> None:
    """Remove connected parts that are tiny or nowhere certain, in place.

    Parameters
    ----------
    marks_kji
        0 background, 1 bone, 2 bone that the network is certain of; afterwards 0 and 1.
    """
    labels, count = ndimage.label(marks_kji)
    bone = marks_kji > 0
    found = labels[bone]
    large = np.bincount(found, minlength=count + 1) * voxel_mm3 >= spec.smallest_mm3
    certain = np.bincount(found[marks_kji[bone] > 1], minlength=count + 1) > 0
    marks_kji[bone] = (large & certain)[found]

"""Solid shapes as signed distances, painted with partial volume onto a CT grid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field: TypeAlias = NDArray[np.float32]
Box: TypeAlias = tuple[slice, slice, slice]

_FAR_MM = np.float32(20.0)
_BOX_MARGIN_MM = 4.0
# One tile of fine noise is texture everywhere; nobody sees it repeat under CT noise.
_TEXTURE_SHAPE = (24, 96, 112)


class Shape(Protocol):
    """A solid in patient millimetres: axis-aligned bounds and a near signed distance, negative inside."""

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest corner (x, y, z)."""

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Signed distance in mm on the open grid `x` (1, 1, W), `y` (1, H, 1), `z` (K, 1, 1)."""


@dataclass(frozen=True)
class Ellipsoid:
    """An axis-aligned ellipsoid."""

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.centre - self.radii, self.centre + self.radii

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        squares = [
            ((axis - np.float32(c)) / np.float32(r)) ** 2
            for axis, c, r in zip((x, y, z), self.centre, self.radii, strict=True)
        ]
        level = np.sqrt(squares[0] + squares[1] + squares[2])
        inverse = [square / np.float32(r * r) for square, r in zip(squares, self.radii, strict=True)]
        slope = np.sqrt(inverse[0] + inverse[1] + inverse[2]) + np.float32(1e-6)
        result: Field = level * (level - np.float32(1.0)) / slope
        return result


@dataclass(frozen=True)
class Capsule:
    """A rod from `start` to `end` whose radius tapers; `flatness` > 1: that much taller than thick."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    start_radius: float
    end_radius: float
    flatness: float = 1.0

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        radius = max(self.start_radius, self.end_radius) * np.array([1.0, 1.0, self.flatness])
        return np.minimum(self.start, self.end) - radius, np.maximum(self.start, self.end) + radius

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        shrink = np.array([1.0, 1.0, 1.0 / self.flatness])
        start, axis = self.start * shrink, (self.end - self.start) * shrink
        ax, ay, az = (np.float32(value) for value in axis)
        px = x - np.float32(start[0])
        py = y - np.float32(start[1])
        pz = z * np.float32(shrink[2]) - np.float32(start[2])
        length_squared = np.float32(max(float(axis @ axis), 1e-6))
        along = np.clip((px * ax + py * ay + pz * az) / length_squared, 0.0, 1.0)
        gap = np.sqrt((px - along * ax) ** 2 + (py - along * ay) ** 2 + (pz - along * az) ** 2)
        taper = np.float32(self.end_radius - self.start_radius)
        result: Field = gap - (np.float32(self.start_radius) + taper * along)
        return result


@dataclass(frozen=True)
class Ribbon:
    """A plate whose axial section is a polyline with thickness, given at some heights, interpolated between.

    Parameters
    ----------
    heights_mm
        Increasing z of the sections, shape (S,).
    points_mm
        Polyline of every section, shape (S, P, 2) as (x, y).
    radii_mm
        Half thickness at every point, shape (S, P).
    """

    heights_mm: NDArray[np.float64]
    points_mm: NDArray[np.float64]
    radii_mm: NDArray[np.float64]

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        radius = float(self.radii_mm.max())
        low, high = self.points_mm.min(axis=(0, 1)) - radius, self.points_mm.max(axis=(0, 1)) + radius
        return np.array([*low, self.heights_mm[0]]), np.array([*high, self.heights_mm[-1]])

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        heights = z.ravel()

        def at_height(values: NDArray[np.float64]) -> Field:
            return np.interp(heights, self.heights_mm, values).astype(np.float32)[:, None, None]

        corners = [
            (
                at_height(self.points_mm[:, p, 0]),
                at_height(self.points_mm[:, p, 1]),
                at_height(self.radii_mm[:, p]),
            )
            for p in range(self.points_mm.shape[1])
        ]
        nearest = np.full((heights.size, y.size, x.size), _FAR_MM, dtype=np.float32)
        for (ax, ay, ar), (bx, by, br) in pairwise(corners):
            dx, dy = bx - ax, by - ay
            along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + np.float32(1e-6))
            np.clip(along, 0.0, 1.0, out=along)
            gap = np.sqrt((x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2) - (ar + (br - ar) * along)
            np.minimum(nearest, gap, out=nearest)
        beyond = np.maximum(np.float32(self.heights_mm[0]) - z, z - np.float32(self.heights_mm[-1]))
        result: Field = np.maximum(nearest, beyond)
        return result


@dataclass(frozen=True)
class BoneTissue:
    """What a bone is made of: shell thickness in mm, HU of the shell and of what it holds."""

    cortex_mm: float
    cortex_hu: float
    inside_hu: float
    inside_texture_hu: float = 45.0


@dataclass
class Canvas:
    """A CT grid being painted: `hu_kji` and `parts_kji` (0 where there is no bone)."""

    x_mm: Field
    y_mm: Field
    z_mm: Field
    rng: np.random.Generator
    hu_kji: Field = field(init=False)
    parts_kji: NDArray[np.uint8] = field(init=False)
    # Inside the muscle wall, once the trunk is painted: organs that move stay there.
    trunk_kji: NDArray[np.bool_] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        shape = (self.z_mm.size, self.y_mm.size, self.x_mm.size)
        self.hu_kji = np.full(shape, -1000.0, dtype=np.float32)
        self.parts_kji = np.zeros(shape, dtype=np.uint8)
        # A voxel at distance d from a surface is covered by 0.5 - d / width, as area sampling has it.
        self._ramp_mm = np.float32(max(float(self.x_mm[1] - self.x_mm[0]), 0.3))
        tile = self.rng.standard_normal(_TEXTURE_SHAPE, dtype=np.float32)
        tile = tile + np.roll(tile, 1, 1) + np.roll(tile, 1, 2) + np.roll(np.roll(tile, 1, 1), 1, 2)
        self._texture = (tile / tile.std()).astype(np.float32)

    def box(self, shapes: Sequence[Shape], margin_mm: float = _BOX_MARGIN_MM) -> Box | None:
        """Return the index box around `shapes`, or None where they lie outside the grid."""
        bounds = [shape.bounds for shape in shapes]
        low = np.min([b[0] for b in bounds], axis=0) - margin_mm
        high = np.max([b[1] for b in bounds], axis=0) + margin_mm
        spans = [
            slice(int(np.searchsorted(axis, lowest)), int(np.searchsorted(axis, highest, side="right")))
            for axis, lowest, highest in zip((self.x_mm, self.y_mm, self.z_mm), low, high, strict=True)
        ]
        if any(span.start >= span.stop for span in spans):
            return None
        return spans[2], spans[1], spans[0]

    def grid(self, box: Box) -> tuple[Field, Field, Field]:
        """Return the open coordinate grid (x, y, z) of `box`."""
        return (
            self.x_mm[box[2]][None, None, :],
            self.y_mm[box[1]][None, :, None],
            self.z_mm[box[0]][:, None, None],
        )

    def texture(self, box: Box) -> Field:
        """Return unit-variance texture over `box`."""
        indices = [np.arange(s.start, s.stop) % n for s, n in zip(box, _TEXTURE_SHAPE, strict=True)]
        tile: Field = self._texture[np.ix_(*indices)]
        return tile

    def union(self, shapes: Sequence[Shape], box: Box) -> Field:
        """Return the signed distance of the union of `shapes` over `box`."""
        shape = tuple(s.stop - s.start for s in box)
        distance = np.full(shape, _FAR_MM, dtype=np.float32)
        for item in shapes:
            inner = self.box([item])
            if inner is None:
                continue
            clipped = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(inner, box, strict=True))
            if any(s.start >= s.stop for s in clipped):
                continue
            local = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(clipped, box, strict=True))
            x, y, z = self.grid((clipped[0], clipped[1], clipped[2]))
            np.minimum(distance[local], item.distance(x, y, z), out=distance[local])
        return distance

    def fill(
        self,
        shapes: Sequence[Shape],
        hu: float,
        *,
        texture_hu: float = 0.0,
        edge_mm: float = 0.0,
        confined: bool = False,
    ) -> None:
        """Paint soft tissue, fluid or gas, `confined` to the trunk or not; carries no label."""
        box = self.box(shapes)
        if box is None:
            return
        cover = self._cover(self.union(shapes, box), edge_mm)
        if confined and self.trunk_kji is not None:
            cover *= self.trunk_kji[box]
        target: Field = np.float32(hu) + np.float32(texture_hu) * self.texture(box)
        self.hu_kji[box] += cover * (target - self.hu_kji[box])

    def bone(
        self,
        part: int,
        shapes: Sequence[Shape],
        tissue: BoneTissue,
        *,
        without: Sequence[tuple[Sequence[Shape], float]] = (),
    ) -> None:
        """Paint one bone and label it `part`.

        Parameters
        ----------
        without
            Groups of shapes cut out of the bone, each with the gap in mm kept around it.
        """
        box = self.box(shapes)
        if box is None:
            return
        distance = self.union(shapes, box)
        for cut, gap_mm in without:
            np.maximum(distance, np.float32(gap_mm) - self.union(cut, box), out=distance)
        cover = self._cover(distance, 0.0)
        depth = np.clip((-distance - np.float32(tissue.cortex_mm)) / np.float32(0.8) + np.float32(0.5), 0.0, 1.0)
        inside = np.float32(tissue.inside_hu) + np.float32(tissue.inside_texture_hu) * self.texture(box)
        target = np.float32(tissue.cortex_hu) + depth * (inside - np.float32(tissue.cortex_hu))
        self.hu_kji[box] += cover * (target - self.hu_kji[box])
        self.parts_kji[box][distance < 0] = part

    def _cover(self, distance: Field, edge_mm: float) -> Field:
        width = max(self._ramp_mm, np.float32(edge_mm))
        cover: Field = np.clip(np.float32(0.5) - distance / width, 0.0, 1.0)
        return cover


def point(*xyz: float) -> NDArray[np.float64]:
    """Return a point in mm."""
    return np.array(xyz, dtype=np.float64)


def chain(points: ArrayLike, radii: ArrayLike, flatness: float = 1.0) -> list[Shape]:
    """Return capsules along a polyline `points` (N, 3) with `radii` (N,)."""
    path, thickness = np.asarray(points, dtype=np.float64), np.asarray(radii, dtype=np.float64)
    return [
        Capsule(path[n], path[n + 1], float(thickness[n]), float(thickness[n + 1]), flatness)
        for n in range(len(path) - 1)
    ]

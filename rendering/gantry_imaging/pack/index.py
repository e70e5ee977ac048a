"""What a pack says of its series: kind, geometry, frames, windows, and where everything lies."""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.errors import RenderError
from gantry_imaging.series import Orientation, Point
from gantry_imaging.voi import Voi, VoiFunction

BRICK_EDGE: Final = 16
"""Cells along a brick's edge; a cell lies between eight voxel centres, so that neighbours share their voxels."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where compressed values lie, and what they are.

    `crc` is the CRC-32 of the `length` bytes at `offset`; `dtype` the type of the values in numpy's words.
    """

    offset: int
    length: int
    crc: int
    dtype: str


@dataclass(frozen=True, slots=True)
class Window:
    """A window as the file names it (PS3.3 C.11.2.1.2); not every one can be shown, see `FrameEntry.default_voi`."""

    center: float
    width: float
    explanation: str = ""
    function: str = "LINEAR"


@dataclass(frozen=True, slots=True)
class VoiLut:
    """An item of a VOI LUT Sequence (PS3.3 C.11.2.1.1): `entries` of `bits` bits, the first for the value `first`."""

    first: int
    bits: int
    entries: tuple[int, ...]
    explanation: str = ""

    def to_voi(self, low: float, high: float) -> Voi:
        """Return how to show values from `low` to `high` through this table."""
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [len(self.entries) % (1 << 16), self.first, self.bits])
        item.add_new("LUTData", "OW", np.array(self.entries, np.uint16).tobytes())
        return Voi((low + high) / 2, max(high - low, 1.0), lut=item)


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One frame of a pack.

    Parameters
    ----------
    frame_number
        Within the instance, from 1 as DICOM counts.
    samples
        1 grey, 3 colour.
    chunk
        Its values; None where the frame could not be decoded, which `code` and `sentence` then explain.
    slope, intercept
        What still turns the chunk's values into modality units; 1 and 0 where they are.
    rescale_slope, rescale_intercept
        What the file says, for people to read.
    pixel_spacing_mm
        Between rows, between columns; `is_imager_spacing` says that it was measured at the detector and not in
        the patient (PS3.3 10.7.1.3), so that lengths are not the patient's.
    pixel_aspect
        Height of a pixel by its width.
    default_window, default_lut
        How the frame is first shown; the table, by its place in `voi_luts`, comes before the window.
    padding
        Lowest and highest value that stands for "no pixel", in modality units.
    auto_low, auto_high
        The 0.5th and 99.5th percentile of the values without padding.
    """

    sop_instance_uid: str
    frame_number: int
    rows: int
    columns: int
    samples: int = 1
    instance_number: int | None = None
    photometric: str = "MONOCHROME2"
    chunk: Chunk | None = None
    slope: float = 1.0
    intercept: float = 0.0
    rescale_slope: float = 1.0
    rescale_intercept: float = 0.0
    units: str = ""
    pixel_spacing_mm: tuple[float, float] | None = None
    is_imager_spacing: bool = False
    pixel_aspect: float = 1.0
    image_position_patient: Point | None = None
    image_orientation_patient: Orientation | None = None
    windows: tuple[Window, ...] = ()
    voi_luts: tuple[VoiLut, ...] = ()
    default_window: Window | None = None
    default_lut: int | None = None
    padding: tuple[float, float] | None = None
    is_lossy_source: bool = False
    laterality: str = ""
    value_min: float = 0.0
    value_max: float = 0.0
    auto_low: float = 0.0
    auto_high: float = 0.0
    code: str = ""
    sentence: str = ""

    @property
    def value_type(self) -> np.dtype[Any]:
        """Type of the values in modality units: int16 where that is exact, uint8 for colour, else float32."""
        if self.samples == 3:
            return np.dtype(np.uint8)
        is_whole = self.chunk is None or (self.chunk.dtype in {"|u1", "<i2"} and self.is_in_units)
        return np.dtype(np.int16 if is_whole else np.float32)

    @property
    def is_in_units(self) -> bool:
        """Whether the chunk holds modality units as they are."""
        return self.slope == 1 and self.intercept == 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns), or (rows, columns, 3)."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    def default_voi(self) -> Voi | None:
        """Return how the frame is first shown; None for colour and for a frame that could not be decoded."""
        if self.chunk is None or self.samples == 3:
            return None
        if self.default_lut is not None:
            return self.voi_luts[self.default_lut].to_voi(self.value_min, self.value_max)
        if self.default_window is not None:
            return _to_voi(self.default_window) or self.auto_voi()
        return self.auto_voi()

    def auto_voi(self) -> Voi:
        """Return the window from the darkest to the brightest of the values, half a percent left out at each end."""
        high = self.auto_high if self.auto_high > self.auto_low else self.auto_low + 1
        return Voi.between(self.auto_low, high)


@dataclass(frozen=True, slots=True)
class Level:
    """The volume at half the resolution of the level before, in chunks of `slices_per_chunk` slices.

    Each value is the mean of a cube of two; a last odd slice, row or column is left out.
    """

    shape_kji: tuple[int, int, int]
    slices_per_chunk: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class BrickIndex:
    """Lowest and highest value of every brick, in two chunks of `shape_kji`."""

    shape_kji: tuple[int, int, int]
    low: Chunk
    high: Chunk


@dataclass(frozen=True, slots=True, eq=False)
class PackIndex:
    """All that a pack says of its series.

    Parameters
    ----------
    kind
        `volume`: the frames are the slices of one regular grid, in order. `stack`: they are not, and `reason_code`
        and `reason` say why. They are then sorted along their normal where that means something, else by
        Instance Number and frame.
    lps_from_ijk
        Affine of the grid, 4 x 4, rows one after the other; empty for a stack.
    quantiles
        (percent, value) of the values without padding, rising.
    frame_time_ms
        Between frames of a cine, where the file says.
    levels
        Of rising coarseness; the first is half the volume. Empty for a stack.
    """

    kind: Literal["volume", "stack"]
    modality: str
    frames: tuple[FrameEntry, ...]
    reason_code: str = ""
    reason: str = ""
    frame_of_reference_uid: str = ""
    lps_from_ijk: tuple[float, ...] = ()
    is_uniform: bool = True
    quantiles: tuple[tuple[float, float], ...] = ()
    frame_time_ms: float | None = None
    levels: tuple[Level, ...] = ()
    bricks: BrickIndex | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the volume's voxels: int16 where that is exact for every frame, else float32."""
        types = {frame.value_type for frame in self.frames}
        return types.pop() if len(types) == 1 else np.dtype(np.float32)

    @property
    def shape_kji(self) -> tuple[int, int, int] | None:
        """Slices, rows, columns; None for a stack."""
        return (len(self.frames), self.frames[0].rows, self.frames[0].columns) if self.kind == "volume" else None

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """`lps_from_ijk` as a matrix; None for a stack."""
        return np.array(self.lps_from_ijk).reshape(4, 4) if self.kind == "volume" else None

    @property
    def spacing_ijk_mm(self) -> tuple[float, float, float] | None:
        """Between columns, rows, slices; None for a stack."""
        affine = self.affine
        if affine is None:
            return None
        i, j, k = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
        return i, j, k

    @property
    def units(self) -> str:
        """Unit of the values, where all frames have the same."""
        units = {frame.units for frame in self.frames}
        return units.pop() if len(units) == 1 else ""

    @property
    def value_min(self) -> float:
        """Lowest value of all frames."""
        return min((frame.value_min for frame in self.frames if frame.chunk), default=0.0)

    @property
    def value_max(self) -> float:
        """Highest value of all frames."""
        return max((frame.value_max for frame in self.frames if frame.chunk), default=0.0)

    @property
    def volume_bytes(self) -> int:
        """Memory that all frames take when they are decoded."""
        if self.kind == "volume":
            return sum(math.prod(frame.shape) for frame in self.frames) * self.dtype.itemsize
        return sum(math.prod(frame.shape) * frame.value_type.itemsize for frame in self.frames if frame.chunk)


def halved(shape_kji: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the shape of the next level."""
    slices, rows, columns = (side // 2 for side in shape_kji)
    return slices, rows, columns


def brick_shape(shape_kji: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return how many bricks cover a volume."""
    slices, rows, columns = (max(1, -(-(side - 1) // BRICK_EDGE)) for side in shape_kji)
    return slices, rows, columns


def _to_voi(window: Window) -> Voi | None:
    named = window.function.lower().replace("_", "-")
    function = VoiFunction(named) if named in set(VoiFunction) else VoiFunction.LINEAR
    try:
        return Voi(window.center, window.width, function)
    except RenderError:
        return None

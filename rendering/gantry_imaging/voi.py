"""Values of interest: from modality units to grey, by window or lookup table (PS3.3 C.11.2)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.errors import RenderError
from gantry_imaging.modality import apply_lut, functional_groups
from gantry_imaging.part10 import refusing


class VoiFunction(StrEnum):
    """How a window maps values to grey (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""

    LINEAR = "linear"
    LINEAR_EXACT = "linear-exact"
    SIGMOID = "sigmoid"


@dataclass(frozen=True, slots=True)
class Voi:
    """A window in modality units, or a lookup table that stands in its place.

    Raises
    ------
    RenderError
        `render.bad_window` for a window that is not finite, or narrower than its function allows: 1 for
        linear, more than 0 for the others.
    """

    center: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR
    lut: Dataset | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        is_wide_enough = self.width >= 1 if self.function is VoiFunction.LINEAR else self.width > 0
        if not (np.isfinite(self.center) and np.isfinite(self.width) and is_wide_enough):
            raise RenderError(
                "render.bad_window",
                f"A {self.function} window of {self.width} around {self.center} shows nothing.",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the `window` query parameter, `center,width,function` (PS3.18 8.3.5.1.4).

        Raises
        ------
        RenderError
            `render.bad_window`.
        """
        center, width, function = [*(part.strip() for part in text.split(",")), *[""] * 3][:3]
        try:
            if text.count(",") > 2:
                raise ValueError
            return cls(float(center), float(width), VoiFunction(function.lower() or "linear"))
        except ValueError:
            raise RenderError(
                "render.bad_window", "A window is center,width,function: linear, linear-exact or sigmoid."
            ) from None

    @classmethod
    def between(cls, low: float, high: float) -> Self:
        """Return the window that is black at `low` and white at `high`."""
        return cls((low + high) / 2, max(high - low, 1e-6), VoiFunction.LINEAR_EXACT)


PRESETS: Final = MappingProxyType(
    {
        "CT": MappingProxyType(
            {
                "soft tissue": Voi(40, 400),
                "lung": Voi(-600, 1500),
                "bone": Voi(480, 2500),
                "brain": Voi(40, 80),
                "liver": Voi(90, 150),
                "mediastinum": Voi(50, 350),
                "angiography": Voi(300, 600),
            }
        ),
    }
)
"""Named windows by modality; the first is what an image without a window of its own gets."""

# Without window or preset the darkest and the brightest half percent are cut off.
_PERCENTILES = (0.5, 99.5)


def default_voi(dataset: Dataset, values: NDArray[Any], frame: int = 0) -> Voi:
    """Choose how an image is first shown.

    Its own lookup table, else its own window (of the frame, then of the image), else the modality's preset,
    else the full range of 8-bit and narrower pixels, else the percentiles of its values without padding.

    Parameters
    ----------
    dataset
        The file's header.
    values
        The frame in modality units.
    frame
        Which frame, from 0.

    Raises
    ------
    DecodeError
        `file.corrupt` for a header that cannot be read.
    """
    with refusing("file.corrupt", "The header's description of the display cannot be read"):
        if dataset.get("VOILUTSequence"):
            return _full_range(values, dataset.VOILUTSequence[0])
        for own in _own_windows(dataset, frame):
            return own
        presets = PRESETS.get(str(dataset.get("Modality", "")))
        if presets:
            return next(iter(presets.values()))
        stored_bits = int(dataset.get("BitsStored") or 0)
        if values.dtype == np.uint8 and 1 <= stored_bits <= 8:
            return Voi.between(0, (1 << stored_bits) - 1)
        return _percentile_window(values, dataset.get("PixelPaddingValue"))


def apply_voi(values: NDArray[Any], voi: Voi, invert: bool = False) -> NDArray[np.uint8]:
    """Map values to grey, 0 to 255, rounded to nearest; exact also where values lie between integers.

    Parameters
    ----------
    values
        Any shape, in modality units.
    voi
        Window or lookup table.
    invert
        Black for white: MONOCHROME1, or on the reader's wish.
    """
    if voi.lut is not None:
        grey = _look_up(values, voi.lut)
        return np.invert(grey) if invert else grey
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2 and values.size > 1 << 14:
        table = _grey_table(voi, values.dtype.str, invert)
        index = values.view(f"u{values.dtype.itemsize}") if values.dtype.isnative else values.astype("u2")
        looked_up: NDArray[np.uint8] = table[index]
        return looked_up
    return _apply_window(values, voi, invert)


def _apply_window(values: NDArray[Any], voi: Voi, invert: bool) -> NDArray[np.uint8]:
    # Resampled images come in float32 and are large; everything else is windowed in double precision.
    precision = np.float32 if values.dtype == np.float32 else np.float64
    grey: NDArray[Any] = values.astype(precision)
    if voi.function is VoiFunction.SIGMOID:
        grey -= precision(voi.center)
        grey *= precision(-4.0 / voi.width)
        with np.errstate(over="ignore"):
            np.exp(grey, out=grey)
        grey += 1
        np.divide(255.0, grey, out=grey)
    else:
        # Of linear the standard takes half a unit off the centre and one off the width (C.11.2.1.2.1).
        center, width = voi.center, voi.width
        if voi.function is VoiFunction.LINEAR:
            center, width = center - 0.5, width - 1
        grey -= precision(center)
        if width == 0:
            grey = np.where(grey > 0, precision(255), precision(0))
        else:
            grey *= precision(255.0 / width)
            grey += precision(127.5)
    np.nan_to_num(grey, copy=False, nan=0.0)
    np.clip(grey, 0, 255, out=grey)
    grey += precision(0.5)
    rounded = grey.astype(np.uint8)
    return np.invert(rounded) if invert else rounded


@lru_cache(maxsize=64)
def _grey_table(voi: Voi, dtype: str, invert: bool) -> NDArray[np.uint8]:
    """Grey of every 8- or 16-bit value, indexed by its bits."""
    size = np.dtype(dtype).itemsize
    every_value = np.arange(1 << (8 * size), dtype=f"u{size}").view(np.dtype(dtype).newbyteorder("="))
    return _apply_window(every_value, voi, invert)


def _look_up(values: NDArray[Any], item: Dataset) -> NDArray[np.uint8]:
    bits = int(item.LUTDescriptor[2])
    whole = np.rint(values) if values.dtype.kind == "f" else values
    grey = apply_lut(whole, item).astype(np.float32)
    scaled: NDArray[np.uint8] = np.rint(grey * np.float32(255.0 / ((1 << bits) - 1))).clip(0, 255).astype(np.uint8)
    return scaled


def _own_windows(dataset: Dataset, frame: int) -> Iterator[Voi]:
    """Yield the windows that the file names, first the frame's; impossible ones are passed over."""
    groups = functional_groups(dataset, frame)
    items = [item for group in groups for item in group.get("FrameVOILUTSequence") or []]
    for source in [*items, dataset]:
        center, width = _first(source.get("WindowCenter")), _first(source.get("WindowWidth"))
        if center is None or width is None:
            continue
        named = str(source.get("VOILUTFunction") or "LINEAR").lower().replace("_", "-")
        function = VoiFunction(named) if named in set(VoiFunction) else VoiFunction.LINEAR
        if function is VoiFunction.LINEAR and dataset.get("BitsStored") is None:
            # Float pixels: linear takes half a unit off, which may be the whole range of a parametric map.
            function = VoiFunction.LINEAR_EXACT
        try:
            yield Voi(center, width, function)
        except RenderError:
            continue


def _first(value: object) -> float | None:
    """Return the first of a number, a list of numbers or nothing."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[0] if value else None
    return float(value) if isinstance(value, int | float | str) and value != "" else None


def _full_range(values: NDArray[Any], lut: Dataset) -> Voi:
    low, high = float(values.min()), float(values.max())
    return Voi((low + high) / 2, max(high - low, 1.0), lut=lut)


def _percentile_window(values: NDArray[Any], padding: object) -> Voi:
    shown = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if padding is not None:
        without = shown[shown != padding]
        shown = without if without.size else shown
    if shown.size == 0:
        return Voi.between(0, 1)
    # A sample of some 100 000 values is the same window.
    low, high = np.percentile(shown[:: max(1, shown.size // 100_000)], _PERCENTILES)
    return Voi.between(float(low), float(high if high > low else low + 1))

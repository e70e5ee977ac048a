"""Stored values to modality units: Hounsfield units for CT (PS3.3 C.11.1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.errors import DecodeError
from gantry_imaging.part10 import refusing


def to_modality_units(stored: NDArray[Any], dataset: Dataset, frame: int | None = None) -> NDArray[Any]:
    """Apply the modality transformation: per frame, shared, LUT or rescale, whichever the file has.

    Parameters
    ----------
    stored
        What `decode_frames` returned for the same `frame`; colour is returned as it is.
    dataset
        The file's header.
    frame
        Which frame `stored` is, from 0; None when it holds all frames on its first axis.

    Returns
    -------
    NDArray
        `stored` itself where there is nothing to do; int16 or int32 where slope and intercept are whole, so
        that CT stays exact and small; float32 otherwise; uint8 or uint16 behind a Modality LUT.

    Raises
    ------
    DecodeError
        `pixel.corrupt` for a transformation that cannot be read.
    """
    if stored.ndim > (3 if frame is None else 2):
        return stored
    with refusing("pixel.corrupt", "The modality transformation cannot be read"):
        if frame is None and stored.ndim == 3 and "PerFrameFunctionalGroupsSequence" in dataset:
            rescales = [find_rescale(dataset, n) for n in range(len(stored))]
            if any(rescale != rescales[0] for rescale in rescales):
                scaled = [_rescale(plane, *r) for plane, r in zip(stored, rescales, strict=True)]
                return np.stack(scaled)
        if dataset.get("ModalityLUTSequence"):
            return apply_lut(stored, dataset.ModalityLUTSequence[0])
        return _rescale(stored, *find_rescale(dataset, frame or 0))


def find_rescale(dataset: Dataset, frame: int = 0) -> tuple[float, float]:
    """Return slope and intercept of a frame; (1, 0) where the file has none."""
    for group in functional_groups(dataset, frame):
        transformation = group.get("PixelValueTransformationSequence")
        if transformation:
            return _slope_and_intercept(transformation[0])
    return _slope_and_intercept(dataset)


def functional_groups(dataset: Dataset, frame: int) -> list[Dataset]:
    """Return the frame's own functional groups, then the shared ones (PS3.3 C.7.6.16)."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    return [*per_frame[frame : frame + 1], *shared[:1]]


def apply_lut(values: NDArray[Any], item: Dataset) -> NDArray[Any]:
    """Look values up in a Modality or VOI LUT item (PS3.3 C.11.1.1); beyond its ends the end values hold."""
    entries, first, bits = item.LUTDescriptor
    entries = int(entries) % (1 << 16) or 1 << 16
    data = item.LUTData
    table = np.frombuffer(data, np.uint16) if isinstance(data, bytes) else np.asarray(data, dtype=np.uint16)
    if bits <= 8 and len(table) * 2 == entries:
        table = table.view(np.uint8)
    if len(table) < entries:
        raise DecodeError("pixel.corrupt", f"A lookup table holds {len(table)} of the {entries} entries it names.")
    index = np.clip(np.asarray(values, dtype=np.int64) - int(first), 0, entries - 1)
    looked_up: NDArray[Any] = table[:entries].astype(np.uint8 if bits <= 8 else np.uint16)[index]
    return looked_up


def _slope_and_intercept(source: Dataset) -> tuple[float, float]:
    slope, intercept = source.get("RescaleSlope"), source.get("RescaleIntercept")
    return (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))


def _rescale(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        raise DecodeError("pixel.corrupt", f"Rescaling by slope {slope} and intercept {intercept} is impossible.")
    if slope == 1 and intercept == 0:
        return stored
    if stored.dtype.kind == "f" or stored.dtype.itemsize > 2 or not (slope.is_integer() and intercept.is_integer()):
        return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if slope == 1 and _fits_int16(stored, intercept):
        # uint16 minus 1024 may wrap on its way: two's complement comes out right.
        return stored.astype(np.int16) + np.int16(intercept)
    return stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)


def _fits_int16(stored: NDArray[Any], intercept: float) -> bool:
    low, high = int(stored.min()) + int(intercept), int(stored.max()) + int(intercept)
    return -32768 <= intercept <= 32767 and low >= -32768 and high <= 32767

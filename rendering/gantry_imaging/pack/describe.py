"""From DICOM headers to the entries of a pack's index."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.codecs import LOSSY_TRANSFER_SYNTAXES
from gantry_imaging.colour import MONOCHROME
from gantry_imaging.decode import decoded_photometric
from gantry_imaging.modality import find_rescale, functional_groups
from gantry_imaging.pack.index import FrameEntry, VoiLut, Window
from gantry_imaging.part10 import refusing
from gantry_imaging.render2d import pixel_aspect
from gantry_imaging.series import SliceHeader
from gantry_imaging.voi import Voi, default_voi

_AUTO: Final = (0.5, 99.5)
_SAMPLES: Final = 16_384


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What the first image of a series says of all of them."""

    modality: str = ""
    frame_time_ms: float | None = None


def describe_series(dataset: Dataset) -> SeriesFacts:
    """Read what a series is."""
    with refusing("file.corrupt", "The header does not describe a series"):
        return SeriesFacts(str(dataset.get("Modality") or "")[:16], _frame_time_ms(dataset))


def describe_frame(dataset: Dataset, header: SliceHeader) -> FrameEntry:
    """Describe a frame by its header; pixels, values and the window to begin with are added when it is decoded.

    Raises
    ------
    DecodeError
        `file.corrupt` for a header that cannot be read.
    """
    with refusing("file.corrupt", "The header does not describe an image"):
        photometric = decoded_photometric(dataset)
        is_grey = photometric in MONOCHROME
        slope, intercept = find_rescale(dataset, header.frame_index)
        spacing, is_imager = _spacing(dataset, header)
        return FrameEntry(
            sop_instance_uid=header.sop_instance_uid,
            frame_number=header.frame_index + 1,
            instance_number=header.instance_number,
            rows=header.rows,
            columns=header.columns,
            samples=1 if is_grey else 3,
            photometric=photometric if is_grey else "RGB",
            rescale_slope=_finite(slope, 1.0),
            rescale_intercept=_finite(intercept, 0.0),
            units=_units(dataset, header.frame_index) if is_grey else "",
            pixel_spacing_mm=spacing,
            is_imager_spacing=is_imager,
            pixel_aspect=spacing[0] / spacing[1] if spacing else pixel_aspect(dataset),
            image_position_patient=_finite_tuple(header.image_position_patient),
            image_orientation_patient=_finite_tuple(header.image_orientation_patient),
            windows=tuple(_windows(dataset, header.frame_index)) if is_grey else (),
            voi_luts=tuple(_voi_luts(dataset, header.frame_index)) if is_grey else (),
            is_lossy_source=str(dataset.get("LossyImageCompression") or "") == "01"
            or transfer_syntax_of(dataset) in LOSSY_TRANSFER_SYNTAXES,
            laterality=str(dataset.get("ImageLaterality") or dataset.get("Laterality") or "")[:16],
        )


def transfer_syntax_of(dataset: Dataset) -> str:
    """Return the transfer syntax that the file declares, empty where it declares none."""
    return str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ""))


def add_values(entry: FrameEntry, dataset: Dataset, values: NDArray[Any]) -> FrameEntry:
    """Add what only the pixels tell: range, percentiles, the window to begin with.

    Parameters
    ----------
    values
        The frame in modality units, or as RGB.
    """
    if entry.samples == 3:
        return replace(entry, value_max=255.0, auto_high=255.0)
    padding = _padding(dataset, entry)
    low, high = _range(values)
    sample = sample_values(values, padding)
    auto_low, auto_high = (float(one) for one in np.percentile(sample, _AUTO)) if sample.size else (0.0, 0.0)
    entry = replace(entry, padding=padding, value_min=low, value_max=high, auto_low=auto_low, auto_high=auto_high)
    voi = default_voi(dataset, values, entry.frame_number - 1)
    if voi.lut is not None and entry.voi_luts:
        return replace(entry, default_lut=0)
    return replace(entry, default_window=_from_voi(voi))


def sample_values(values: NDArray[Any], padding: tuple[float, float] | None) -> NDArray[Any]:
    """Return some 16 thousand values of a frame, evenly from everywhere, without padding and what is not a number."""
    flat = values.reshape(-1)
    # An odd step walks through the columns of every row. A copy, lest the sample keep the frame.
    sample = flat[:: max(1, flat.size // _SAMPLES) | 1].copy()
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
    if padding is not None:
        kept = sample[(sample < padding[0]) | (sample > padding[1])]
        sample = kept if kept.size else sample
    return sample


def _from_voi(voi: Voi) -> Window:
    return Window(float(voi.center), float(voi.width), "", voi.function.value.upper().replace("-", "_"))


def _range(values: NDArray[Any]) -> tuple[float, float]:
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return float(values.min()), float(values.max())


def _spacing(dataset: Dataset, header: SliceHeader) -> tuple[tuple[float, float] | None, bool]:
    own = header.pixel_spacing_mm
    if own is not None and all(math.isfinite(one) and 1e-6 < one < 1e6 for one in own):
        return own, False
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        try:
            rows, columns = (float(one) for one in dataset.get(keyword) or ())
        except (TypeError, ValueError):
            continue
        if all(math.isfinite(one) and 1e-6 < one < 1e6 for one in (rows, columns)):
            return (rows, columns), True
    return None, False


def _units(dataset: Dataset, frame: int) -> str:
    for group in functional_groups(dataset, frame):
        transformation = group.get("PixelValueTransformationSequence")
        if transformation and transformation[0].get("RescaleType"):
            return _unit(str(transformation[0].RescaleType))
    named = str(dataset.get("RescaleType") or dataset.get("Units") or "")
    return _unit(named) if named else "HU" if dataset.get("Modality") == "CT" else ""


def _unit(named: str) -> str:
    # US: unspecified (PS3.3 C.11.1.1.2).
    return "" if named.strip() == "US" else named.strip()[:16]


def _windows(dataset: Dataset, frame: int) -> list[Window]:
    items = [item for group in functional_groups(dataset, frame) for item in group.get("FrameVOILUTSequence") or []]
    for source in (*items, dataset):
        centers, widths = _floats(source.get("WindowCenter")), _floats(source.get("WindowWidth"))
        explanations = _strings(source.get("WindowCenterWidthExplanation"))
        function = str(source.get("VOILUTFunction") or "LINEAR")[:16]
        windows = [
            Window(center, width, (explanations[at] if at < len(explanations) else "")[:64], function)
            for at, (center, width) in enumerate(zip(centers, widths, strict=False))
        ]
        if windows:
            return windows[:1000]
    return []


def _voi_luts(dataset: Dataset, frame: int) -> list[VoiLut]:
    items = [item for group in functional_groups(dataset, frame) for item in group.get("VOILUTSequence") or []]
    found = []
    for item in [*items, *(dataset.get("VOILUTSequence") or [])][:100]:
        entries, first, bits = (int(one) for one in item.LUTDescriptor)
        entries = entries % (1 << 16) or 1 << 16
        data = item.LUTData
        table = np.frombuffer(data, np.uint16) if isinstance(data, bytes) else np.asarray(data, dtype=np.uint16)
        if bits <= 8 and len(table) * 2 == entries:
            table = table.view(np.uint8)
        if len(table) >= entries and 1 <= bits <= 16:
            values = tuple(int(one) for one in table[:entries])
            found.append(VoiLut(first, bits, values, str(item.get("LUTExplanation") or "")[:64]))
    return found


def _padding(dataset: Dataset, entry: FrameEntry) -> tuple[float, float] | None:
    """Return the range that stands for no pixel (PS3.3 C.7.5.1.1.2), which the file gives in stored values."""
    ends = [_number(dataset.get(key)) for key in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None or dataset.get("ModalityLUTSequence"):
        return None
    values = [entry.rescale_slope * end + entry.rescale_intercept for end in ends if end is not None]
    return min(values), max(values)


def _frame_time_ms(dataset: Dataset) -> float | None:
    """Return for how long each frame is to be shown (PS3.3 C.7.6.5): as recommended, else as it was recorded."""
    for keyword in ("RecommendedDisplayFrameRate", "CineRate"):
        rate = _number(dataset.get(keyword))
        if rate is not None and 0.01 < rate < 1000:
            return 1000.0 / rate
    # The vector's first number is of the first frame, before which there is no time.
    steps = [time for time in _floats(dataset.get("FrameTimeVector"))[1:] if time > 0]
    time_ms = _number(dataset.get("FrameTime")) or (sum(steps) / len(steps) if steps else None)
    return time_ms if time_ms is not None and 0 < time_ms < 60_000 else None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number is caught
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _floats(value: object) -> list[float]:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [number for number in map(_number, values) if number is not None]


def _strings(value: object) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, str) or not isinstance(value, Sequence) else [str(one) for one in value]


def _finite(value: float, otherwise: float) -> float:
    return float(value) if math.isfinite(value) else otherwise


def _finite_tuple(value: Any) -> Any:
    return value if value is not None and all(math.isfinite(one) for one in value) else None

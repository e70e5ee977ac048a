"""Read the image planes that a DICOM header describes."""

from collections.abc import Sequence
from typing import cast

from pydicom import Dataset

from gantry_imaging.modality import functional_groups
from gantry_imaging.part10 import refusing
from gantry_imaging.series import Orientation, Point, SliceHeader


def read_slice_headers(dataset: Dataset) -> list[SliceHeader]:
    """Describe each frame of a file, from its functional groups where it is an enhanced multi-frame image.

    What is missing or cannot be read as numbers becomes None; `examine_geometry` decides what that means.

    Raises
    ------
    DecodeError
        `file.corrupt` where not even rows and columns can be read.
    """
    with refusing("file.corrupt", "The header does not describe an image"):
        return [_read_plane(dataset, frame) for frame in range(int(dataset.get("NumberOfFrames") or 1))]


def _read_plane(dataset: Dataset, frame: int) -> SliceHeader:
    groups = functional_groups(dataset, frame)

    def find(sequence: str, keyword: str) -> object:
        places = [item for group in groups for item in group.get(sequence) or []]
        values = (_value(place, keyword) for place in [*places, dataset])
        return next((value for value in values if value is not None), None)

    number = _number(_value(dataset, "InstanceNumber"))
    position = _numbers(find("PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(find("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing_mm = _numbers(find("PixelMeasuresSequence", "PixelSpacing"), 2)
    return SliceHeader(
        sop_instance_uid=str(dataset.get("SOPInstanceUID") or ""),
        instance_number=None if number is None else int(number),
        frame_index=frame,
        image_position_patient=cast(Point | None, position),
        image_orientation_patient=cast(Orientation | None, orientation),
        pixel_spacing_mm=cast(tuple[float, float] | None, spacing_mm),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        frame_of_reference_uid=str(dataset.get("FrameOfReferenceUID") or "") or None,
        slice_thickness_mm=_number(find("PixelMeasuresSequence", "SliceThickness")),
    )


def _value(dataset: Dataset, keyword: str) -> object:
    """Return an element's value; None where it is missing or not what its type allows."""
    try:
        return cast(object, dataset.get(keyword))
    except (NotImplementedError, TypeError, ValueError):
        return None


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None


def _numbers(value: object, count: int) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        return None
    numbers = tuple(number for number in map(_number, value) if number is not None)
    return numbers if len(numbers) == count else None

"""What a data set says about its pixels, held against the bytes that are there (PS3.3 §C.7.6.3, PS3.5 §8)."""

import itertools
import math
import struct
from dataclasses import dataclass

from gantry.studies.parsing.dataset import DataSet
from gantry.studies.parsing.elements import PIXEL_TAGS, Element
from gantry.studies.parsing.model import FrameFacts, GeometryFacts, ImageFacts, PixelData
from gantry.studies.parsing.part10 import Part10
from gantry.studies.parsing.rejections import ParseRefusedError

_FLOAT_BITS = {0x7FE00008: 32, 0x7FE00009: 64}
_SHARED_GROUPS, _PER_FRAME_GROUPS = 0x52009229, 0x52009230
_PIXEL_MEASURES, _PLANE_ORIENTATION, _PLANE_POSITION = 0x00289110, 0x00209116, 0x00209113
_PIXEL_VALUE_TRANSFORMATION, _FRAME_VOI_LUT = 0x00289145, 0x00289132

# One fragment, or several that mean nothing by themselves, hold all frames of a video (PS3.5 §8.2.5).
_VIDEO = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))


def read_image(dataset: DataSet, groups: "FrameGroups") -> ImageFacts:
    """Read how pixels are laid out and shown.

    Parameters
    ----------
    groups : FrameGroups
        Those of an enhanced object's first frame, asked where the data set itself is silent.

    Raises
    ------
    ParseRefusedError
        ``dicom.invalid_image``: a number of frames that cannot be one.
    """
    transformation = groups.item(_PIXEL_VALUE_TRANSFORMATION)
    voi = groups.item(_FRAME_VOI_LUT)
    rescale = dataset if 0x00281053 in dataset or transformation is None else transformation
    window = dataset if 0x00281050 in dataset or voi is None else voi
    return ImageFacts(
        rows=dataset.integer(0x00280010, "H"),
        columns=dataset.integer(0x00280011, "H"),
        number_of_frames=_number_of_frames(dataset),
        samples_per_pixel=dataset.integer(0x00280002, "H"),
        photometric_interpretation=dataset.code(0x00280004),
        planar_configuration=dataset.integer(0x00280006, "H"),
        bits_allocated=dataset.integer(0x00280100, "H"),
        bits_stored=dataset.integer(0x00280101, "H"),
        high_bit=dataset.integer(0x00280102, "H"),
        pixel_representation=dataset.integer(0x00280103, "H"),
        pixel_padding_value=dataset.integer(0x00280120, "h" if dataset.integer(0x00280103, "H") == 1 else "H"),
        window_center=window.numbers(0x00281050),
        window_width=window.numbers(0x00281051),
        window_explanation=window.texts(0x00281055),
        voi_lut_function=window.code(0x00281056),
        has_voi_lut=0x00283010 in dataset,
        rescale_slope=rescale.number(0x00281053),
        rescale_intercept=rescale.number(0x00281052),
        rescale_type=rescale.text(0x00281054),
        has_modality_lut=0x00283000 in dataset,
        presentation_lut_shape=dataset.code(0x20500020),
        lossy_image_compression=dataset.code(0x00282110),
        burned_in_annotation=dataset.code(0x00280301),
    )


def find_pixel_data(part: Part10, image: ImageFacts) -> PixelData | None:
    """Locate the pixels and hold what the header says of them against their size.

    Raises
    ------
    ParseRefusedError
        ``dicom.invalid_image``, or ``dicom.truncated`` where there are fewer bytes than pixels.
    """
    tag = next((tag for tag in PIXEL_TAGS if tag in part.dataset), None)
    element = part.dataset.element(tag) if tag else None
    if tag is None or element is None or (element.length == 0 and element.fragments < 0):
        return None
    bits = _FLOAT_BITS.get(tag) or image.bits_allocated
    _require_sound_layout(image, bits)
    if element.fragments >= 0:
        _require_sound_fragments(part, image, element)
        return PixelData(is_encapsulated=True, offset=None, length=None, fragments=element.fragments)
    if element.length < _native_bytes(image, bits or 0):
        raise ParseRefusedError("dicom.truncated")
    if part.is_deflated:
        return PixelData(is_encapsulated=False, offset=None, length=None, fragments=0)
    return PixelData(is_encapsulated=False, offset=element.offset, length=element.length, fragments=0)


@dataclass(frozen=True, slots=True)
class FrameGroups:
    """The functional groups of one frame: its own go before the shared ones."""

    own: DataSet | None
    shared: DataSet | None

    @classmethod
    def of_first_frame(cls, dataset: DataSet) -> "FrameGroups":
        """Return those of the first frame; empty for a classic object."""
        return cls(dataset.item(_PER_FRAME_GROUPS), dataset.item(_SHARED_GROUPS))

    def item(self, tag: int) -> DataSet | None:
        """Return one group."""
        own = self.own.item(tag) if self.own else None
        return own or (self.shared.item(tag) if self.shared else None)


def read_geometry(dataset: DataSet, groups: FrameGroups) -> GeometryFacts:
    """Read where the image lies; of an enhanced object, its first frame."""
    measures = groups.item(_PIXEL_MEASURES) or dataset
    position = groups.item(_PLANE_POSITION) or dataset
    orientation = groups.item(_PLANE_ORIENTATION) or dataset
    return GeometryFacts(
        pixel_spacing=_exactly(2, measures.numbers(0x00280030)),
        imager_pixel_spacing=_exactly(2, dataset.numbers(0x00181164)),
        image_position_patient=_exactly(3, position.numbers(0x00200032)),
        image_orientation_patient=_exactly(6, orientation.numbers(0x00200037)),
        slice_location=dataset.number(0x00201041),
        slice_thickness=measures.number(0x00180050),
        spacing_between_slices=measures.number(0x00180088),
        gantry_tilt=dataset.number(0x00181120),
    )


def read_frames(dataset: DataSet, frames: int, limit: int) -> FrameFacts | None:
    """Summarise the functional groups of an enhanced object; None where it has none.

    Parameters
    ----------
    limit : int
        More frames than these are reported by their first and last alone.
    """
    if _PER_FRAME_GROUPS not in dataset:
        return None
    shared = dataset.item(_SHARED_GROUPS)
    shared_orientation = _orientation(shared) if shared else ()
    shared_spacing = _spacing(shared) if shared else ()
    positions: list[tuple[float, ...]] = []
    orientations: set[tuple[float, ...]] = set()
    spacings: set[tuple[float, ...]] = set()
    count = 0
    for frame in dataset.items(_PER_FRAME_GROUPS, frames):
        count += 1
        position = frame.item(_PLANE_POSITION)
        found = _exactly(3, position.numbers(0x00200032)) if position else ()
        if found:
            positions.append(found)
        orientations.add(_orientation(frame) or shared_orientation)
        spacings.add(_spacing(frame) or shared_spacing)
    is_complete = count == frames == len(positions) and count <= limit
    return FrameFacts(
        positions=tuple(positions if is_complete else positions[:1] + positions[1:][-1:]),
        is_complete=is_complete,
        orientation=next(iter(orientations)) if len(orientations) == 1 else (),
        pixel_spacing=next(iter(spacings)) if len(spacings) == 1 else (),
    )


def _orientation(groups: DataSet) -> tuple[float, ...]:
    item = groups.item(_PLANE_ORIENTATION)
    return _exactly(6, item.numbers(0x00200037)) if item else ()


def _spacing(groups: DataSet) -> tuple[float, ...]:
    item = groups.item(_PIXEL_MEASURES)
    return _exactly(2, item.numbers(0x00280030)) if item else ()


def _exactly(count: int, values: tuple[float, ...]) -> tuple[float, ...]:
    return values if len(values) == count else ()


def _number_of_frames(dataset: DataSet) -> int:
    frames = dataset.integer(0x00280008)
    if frames is None:
        if dataset.raw(0x00280008).strip(b" \0"):
            raise ParseRefusedError("dicom.invalid_image")
        return 1
    if frames < 0:
        raise ParseRefusedError("dicom.invalid_image")
    return frames or 1  # zero is written by some devices that mean one


def _require_sound_layout(image: ImageFacts, bits: int | None) -> None:
    rows, columns, stored, high = image.rows, image.columns, image.bits_stored, image.high_bit
    is_sound = (
        rows is not None
        and columns is not None
        and 0 < rows <= 65_535
        and 0 < columns <= 65_535
        and bits is not None
        and (bits == 1 or (bits % 4 == 0 and 0 < bits <= 64))
        and (stored is None or 0 < stored <= bits)
        and (high is None or high < bits)
        and 0 < (image.samples_per_pixel or 1) <= 4
    )
    if not is_sound:
        raise ParseRefusedError("dicom.invalid_image")


def _native_bytes(image: ImageFacts, bits: int) -> int:
    """Return the least size of native pixels (PS3.5 §8.1.1, §8.2; 4:2:2 has two samples a pixel)."""
    samples = 2 if image.photometric_interpretation == "YBR_FULL_422" else image.samples_per_pixel or 1
    return math.ceil((image.rows or 0) * (image.columns or 0) * samples * bits * image.number_of_frames / 8)


def _require_sound_fragments(part: Part10, image: ImageFacts, element: Element) -> None:
    """Refuse fewer fragments than frames, and offsets that lead out of the value (PS3.5 §A.4)."""
    if part.transfer_syntax_uid.startswith(_VIDEO):
        return
    if element.fragments < image.number_of_frames:
        raise ParseRefusedError("dicom.truncated" if element.fragments else "dicom.invalid_image")
    order, body = element.encoding.order, part.body
    (table_bytes,) = struct.unpack_from(order + "I", body, element.offset + 4)
    first = element.offset + 8 + table_bytes
    count = min(table_bytes // 4, image.number_of_frames)
    offsets = struct.unpack_from(f"{order}{count}I", body, element.offset + 8)
    span = element.offset + element.length - first
    if any(offset >= span for offset in offsets) or any(a > b for a, b in itertools.pairwise(offsets)):
        raise ParseRefusedError("dicom.invalid_image")

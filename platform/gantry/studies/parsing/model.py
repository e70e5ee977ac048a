"""What the index needs of one DICOM instance, and why one was refused."""

import datetime as dt
import re
from dataclasses import dataclass

MAX_TEXT_CHARS = 256
MAX_PERSON_NAME_CHARS = 512
MAX_IDENTIFIER_CHARS = 128
MAX_VALUES = 64
"""Values kept of a multi-valued attribute."""

UID_PATTERN = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")
"""PS3.5 §9.1, but for leading zeros in a component, which old devices write."""

FORBIDDEN_CHARS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, overrides of writing direction and lone surrogates: never part of a value."""

PREAMBLES = frozenset({"zero", "tiff", "other", "missing"})


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """Patient Module (PS3.3 §C.7.1.1). `name` keeps its groups: ``alphabetic=ideographic=phonetic``."""

    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    birth_date: dt.date | None = None
    sex: str = ""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """General Study Module (PS3.3 §C.7.2.1) and what of the visit a worklist shows."""

    study_date: dt.date | None = None
    study_time: dt.time | None = None
    timezone_offset: str = ""
    """``+0300``, as (0008,0201) gives it, or empty."""
    accession_number: str = ""
    issuer_of_accession_number: str = ""
    study_description: str = ""
    study_id: str = ""
    referring_physician_name: str = ""
    institution_name: str = ""
    patient_age: str = ""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """General Series, Frame of Reference, General Equipment (PS3.3 §C.7.3.1, §C.7.4.1, §C.7.5.1)."""

    modality: str = ""
    series_number: int | None = None
    series_description: str = ""
    body_part_examined: str = ""
    laterality: str = ""
    protocol_name: str = ""
    patient_position: str = ""
    frame_of_reference_uid: str = ""
    manufacturer: str = ""
    manufacturer_model_name: str = ""
    station_name: str = ""
    software_versions: str = ""
    series_date: dt.date | None = None
    series_time: dt.time | None = None


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Image Pixel, Modality LUT, VOI LUT (PS3.3 §C.7.6.3, §C.11.1, §C.11.2)."""

    rows: int | None = None
    columns: int | None = None
    number_of_frames: int = 1
    samples_per_pixel: int | None = None
    photometric_interpretation: str = ""
    planar_configuration: int | None = None
    bits_allocated: int | None = None
    bits_stored: int | None = None
    high_bit: int | None = None
    pixel_representation: int | None = None
    pixel_padding_value: int | None = None
    window_center: tuple[float, ...] = ()
    window_width: tuple[float, ...] = ()
    window_explanation: tuple[str, ...] = ()
    voi_lut_function: str = ""
    has_voi_lut: bool = False
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str = ""
    has_modality_lut: bool = False
    presentation_lut_shape: str = ""
    lossy_image_compression: str = ""
    burned_in_annotation: str = ""


@dataclass(frozen=True, slots=True)
class GeometryFacts:
    """Image Plane (PS3.3 §C.7.6.2). Millimetres, patient coordinates (LPS); (row, column) spacing.

    Of an enhanced multi-frame object these are its first frame's.
    """

    pixel_spacing: tuple[float, ...] = ()
    imager_pixel_spacing: tuple[float, ...] = ()
    image_position_patient: tuple[float, ...] = ()
    image_orientation_patient: tuple[float, ...] = ()
    slice_location: float | None = None
    slice_thickness: float | None = None
    spacing_between_slices: float | None = None
    gantry_tilt: float | None = None


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """Geometry of an enhanced multi-frame object, from its functional groups (PS3.3 §C.7.6.16).

    `positions` holds one (x, y, z) in millimetres for each frame, in frame order, if every frame has one and
    they are within the limit; else the first and the last frame's, and `is_complete` is false.
    `orientation` and `pixel_spacing` are empty where frames differ.
    """

    positions: tuple[tuple[float, ...], ...] = ()
    is_complete: bool = False
    orientation: tuple[float, ...] = ()
    pixel_spacing: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class AcquisitionFacts:
    """What distinguishes one acquisition from another when a series is chosen for an analysis."""

    instance_number: int | None = None
    acquisition_number: int | None = None
    image_type: tuple[str, ...] = ()
    image_laterality: str = ""
    view_position: str = ""
    patient_orientation: tuple[str, ...] = ()
    content_date: dt.date | None = None
    content_time: dt.time | None = None
    acquisition_date: dt.date | None = None
    acquisition_time: dt.time | None = None
    kvp: float | None = None
    convolution_kernel: tuple[str, ...] = ()
    contrast_bolus_agent: str = ""
    echo_time: float | None = None
    repetition_time: float | None = None
    scanning_sequence: tuple[str, ...] = ()
    document_title: str = ""
    """Content Label, Document Title, or the meaning of the root concept of a structured report."""


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where (7FE0,0008), (7FE0,0009) or (7FE0,0010) lies in the file.

    `offset` and `length` are a byte range of the file as it came, for native pixels only; both are None where
    the pixels are encapsulated or the data set is deflated.
    """

    is_encapsulated: bool
    offset: int | None
    length: int | None
    fragments: int


@dataclass(frozen=True, slots=True)
class ParsedInstance:
    """One instance whose header may be trusted to be well formed; what it says is still only what it says."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    preamble: str
    """``zero``, ``tiff``, ``other`` (store it zeroed, PS3.10 §7.1), or ``missing``: not a Part 10 file."""
    charset_is_faithful: bool
    """False where some text did not decode and holds U+FFFD."""
    patient: PatientFacts
    study: StudyFacts
    series: SeriesFacts
    acquisition: AcquisitionFacts
    geometry: GeometryFacts
    image: ImageFacts
    frames: FrameFacts | None
    pixel_data: PixelData | None

    @property
    def has_pixel_data(self) -> bool:
        """Whether there are pixels to show."""
        return self.pixel_data is not None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a file is quarantined, in words for the person who sent it; UIDs as far as they could be read."""

    code: str
    sentence: str
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    study_instance_uid: str | None = None

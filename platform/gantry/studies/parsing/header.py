"""One file in, one instance or one reason out. Runs inside the sandbox; see `pool`."""

from gantry.studies.parsing.dataset import DataSet
from gantry.studies.parsing.image import (
    FrameGroups,
    find_pixel_data,
    read_frames,
    read_geometry,
    read_image,
)
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.model import (
    MAX_IDENTIFIER_CHARS,
    AcquisitionFacts,
    ParsedInstance,
    PatientFacts,
    Rejection,
    SeriesFacts,
    StudyFacts,
)
from gantry.studies.parsing.part10 import MEDIA_STORAGE_DIRECTORY, Part10, open_part10
from gantry.studies.parsing.rejections import SENTENCES, ParseRefusedError

_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00080016, 0x00080018
_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID = 0x0020000D, 0x0020000E


def parse(file: memoryview, limits: ParserLimits) -> ParsedInstance | Rejection:
    """Read the header of one file, believing nothing in it."""
    part: Part10 | None = None
    try:
        part = open_part10(file, limits)
        part.walk()
        return _read_instance(part, limits)
    except ParseRefusedError as error:
        return _reject(error.code, part)
    except MemoryError:
        part = None
        return _reject("dicom.parser_memory", None)


def _reject(code: str, part: Part10 | None) -> Rejection:
    sop_instance_uid = sop_class_uid = study_instance_uid = None
    if part is not None:
        sop_instance_uid = part.dataset.uid(_SOP_INSTANCE_UID) or None
        sop_class_uid = part.dataset.uid(_SOP_CLASS_UID) or part.media_storage_sop_class_uid or None
        study_instance_uid = part.dataset.uid(_STUDY_INSTANCE_UID) or None
    return Rejection(code, SENTENCES[code], sop_instance_uid, sop_class_uid, study_instance_uid)


def _read_instance(part: Part10, limits: ParserLimits) -> ParsedInstance:
    dataset = part.dataset
    sop_class_uid = _required_uid(dataset, _SOP_CLASS_UID)
    if sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        raise ParseRefusedError("dicom.dicomdir")
    groups = FrameGroups.of_first_frame(dataset)
    image = read_image(dataset, groups)
    return ParsedInstance(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=_required_uid(dataset, _SOP_INSTANCE_UID),
        study_instance_uid=_required_uid(dataset, _STUDY_INSTANCE_UID),
        series_instance_uid=_required_uid(dataset, _SERIES_INSTANCE_UID),
        transfer_syntax_uid=part.transfer_syntax_uid,
        preamble=part.preamble,
        patient=_read_patient(dataset),
        study=_read_study(dataset),
        series=_read_series(dataset),
        acquisition=_read_acquisition(dataset),
        geometry=read_geometry(dataset, groups),
        image=image,
        frames=read_frames(dataset, image.number_of_frames, limits.max_frame_positions),
        pixel_data=find_pixel_data(part, image),
        charset_is_faithful=dataset.charset.is_faithful,  # last: known once the texts above are read
    )


def _required_uid(dataset: DataSet, tag: int) -> str:
    if not dataset.raw(tag).strip(b" \0"):
        raise ParseRefusedError("dicom.missing_uid")
    uid = dataset.uid(tag)
    if not uid:
        raise ParseRefusedError("dicom.invalid_uid")
    return uid


def _identifier(dataset: DataSet, tag: int) -> str:
    """Read what tells patients or orders apart: shortened or repaired, two of them could become one."""
    value = dataset.identifier(tag)
    if value is None or len(value) > MAX_IDENTIFIER_CHARS:
        raise ParseRefusedError("dicom.invalid_identity")
    return value


def _read_patient(dataset: DataSet) -> PatientFacts:
    return PatientFacts(
        patient_id=_identifier(dataset, 0x00100020),
        issuer_of_patient_id=_identifier(dataset, 0x00100021),
        patient_name=dataset.name(0x00100010),
        birth_date=dataset.date(0x00100030),
        sex=dataset.code(0x00100040),
    )


def _read_study(dataset: DataSet) -> StudyFacts:
    issuer = dataset.item(0x00080051)
    return StudyFacts(
        study_date=dataset.date(0x00080020),
        study_time=dataset.time(0x00080030),
        timezone_offset=dataset.code(0x00080201),
        accession_number=_identifier(dataset, 0x00080050),
        issuer_of_accession_number=(
            _identifier(issuer, 0x00400031) or _identifier(issuer, 0x00400032) if issuer else ""
        ),
        study_description=dataset.text(0x00081030),
        study_id=dataset.text(0x00200010),
        referring_physician_name=dataset.name(0x00080090),
        institution_name=dataset.text(0x00080080),
        patient_age=dataset.code(0x00101010),
    )


def _read_series(dataset: DataSet) -> SeriesFacts:
    return SeriesFacts(
        modality=dataset.code(0x00080060),
        series_number=dataset.integer(0x00200011),
        series_description=dataset.text(0x0008103E),
        body_part_examined=dataset.code(0x00180015),
        laterality=dataset.code(0x00200060),
        protocol_name=dataset.text(0x00181030),
        patient_position=dataset.code(0x00185100),
        frame_of_reference_uid=dataset.uid(0x00200052),
        manufacturer=dataset.text(0x00080070),
        manufacturer_model_name=dataset.text(0x00081090),
        station_name=dataset.text(0x00081010),
        software_versions=dataset.text(0x00181020),
        series_date=dataset.date(0x00080021),
        series_time=dataset.time(0x00080031),
    )


def _read_acquisition(dataset: DataSet) -> AcquisitionFacts:
    concept = dataset.item(0x0040A043)
    return AcquisitionFacts(
        instance_number=dataset.integer(0x00200013),
        acquisition_number=dataset.integer(0x00200012),
        image_type=dataset.codes(0x00080008),
        image_laterality=dataset.code(0x00200062),
        view_position=dataset.code(0x00185101),
        patient_orientation=dataset.codes(0x00200020),
        content_date=dataset.date(0x00080023),
        content_time=dataset.time(0x00080033),
        acquisition_date=dataset.date(0x00080022) or dataset.date(0x0008002A),
        acquisition_time=dataset.time(0x00080032),
        kvp=dataset.number(0x00180060),
        convolution_kernel=dataset.texts(0x00181210),
        contrast_bolus_agent=dataset.text(0x00180010),
        echo_time=dataset.number(0x00180081),
        repetition_time=dataset.number(0x00180080),
        scanning_sequence=dataset.codes(0x00180020),
        document_title=(
            dataset.text(0x00420010) or (concept.text(0x00080104) if concept else "") or dataset.text(0x00700080)
        ),
    )

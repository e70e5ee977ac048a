"""What is read from a header, held against values written by hand and against pydicom's own reading."""

import datetime as dt
import math
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from gantry.studies.parsing.codec import from_json, to_json
from gantry.studies.parsing.header import parse
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.memfile import MemFile
from gantry.studies.parsing.model import ParsedInstance, Rejection
from gantry.studies.parsing.pool import ParserPool
from hostile_dicom import (
    BEFORE_PIXELS,
    BIG_ENDIAN,
    Elements,
    body,
    element,
    encapsulated,
    file,
    implicit_element,
    item,
    plain,
)

SETS = (
    *("ct-bone-ref-totalseg", "ct-chest-lidc0314", "ct-pelvis-vhf", "cxr-dev", "dcmqi-seg-sr"),
    *("dicomparser-encap", "head-ct-ge28", "highdicom-tests", "knee-dev", "pet-seg-qinhn", "prior-ct-sbu"),
    *("prior-mr-ms12", "pydicom-tests", "rt-dicompyler", "us-cine-dev", "wg04-dev"),
)
# Everything in the real sets that is refused, and rightly: broken on purpose, or without its UIDs.
REFUSED = {
    "dicom.missing_uid": {
        *(
            "chrSQEncoding.dcm",
            "chrSQEncoding1.dcm",
            "JPEGLSNearLossless_08.dcm",
            "JPEGLSNearLossless_16.dcm",
        ),
        *("SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "UN_sequence.dcm"),
        *("empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm", "priv_SQ.dcm"),
        *("no_meta_group_length.dcm", "HTJ2KLossless_08_RGB.dcm", "HTJ2K_08_RGB.dcm"),
        *("JLSL_08_07_0_1F.dcm", "JLSL_16_15_1_1F.dcm", "JLSL_RGB_ILV0.dcm", "JLSL_RGB_ILV1.dcm"),
        *("JLSL_RGB_ILV2.dcm", "JLSN_RGB_ILV0.dcm"),
    },
    "dicom.truncated": {
        *("MR_truncated.dcm", "rtplan_truncated.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"),
    },
    "dicom.invalid_image": {"badVR.dcm"},  # its Number of Frames is "1A"
    "dicom.invalid_uid": {"bad_sequence.dcm"},  # its UIDs are hashes
    "dicom.not_dicom": {"no_meta.dcm"},  # begins with a stray byte
}
NAMES = {
    "chrArab": "قباني^لنزار",
    "chrFren": "Buc^Jérôme",
    "chrFrenMulti": "Buc^Jérôme",
    "chrGerm": "Äneas^Rüdiger",
    "chrGreek": "Διονυσιος",
    "chrH31": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw": "שרון^דבורה",
    "chrI2": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti": "やまだ^たろう",
    "chrJapMultiExplicitIR6": "やまだ^たろう",
    "chrKoreanMulti": "김희중",
    "chrRuss": "Люкceмбypг",
    "chrX1": "Wang^XiaoDong=王^小東",
    "chrX2": "Wang^XiaoDong=王^小东",
}
RealData = Callable[[str], Path]


def read(data: bytes) -> ParsedInstance:
    outcome = parse(memoryview(data), ParserLimits())
    assert isinstance(outcome, ParsedInstance), outcome
    assert from_json(to_json(outcome)) == outcome
    return outcome


def decimal(*values: float) -> bytes:
    data = "\\".join(map(str, values)).encode()
    return data + b" "[: len(data) % 2]


def sequence(tag: int, *items: bytes) -> bytes:
    return element(tag, b"SQ", b"".join(map(item, items)))


def test_values_are_typed_when_they_are_sound() -> None:
    changes: Elements = {
        0x00080020: (b"DA", b"20260131"),
        0x00080030: (b"TM", b"235960.5"),
        0x00080050: (b"SH", b"A1"),
        0x00080008: (b"CS", b"ORIGINAL\\primary"),
        0x00100030: (b"DA", b"1950.02.28"),
        0x00200013: (b"IS", b" +7 "),
        0x00281050: (b"DS", b"40\\-600 "),
        0x00281051: (b"DS", b"400\\1500"),
        0x00281055: (b"LO", b"soft\\lung "),
        0x00280030: (b"DS", b"0.5\\.75 "),
        0x00200052: (b"UI", b"not a UID "),
    }
    instance = read(file(body(changes)))
    assert instance.study.study_date == dt.date(2026, 1, 31)
    assert instance.study.study_time == dt.time(23, 59, 59, 999_999)
    assert instance.patient.birth_date == dt.date(1950, 2, 28)
    assert instance.acquisition.image_type == ("ORIGINAL", "PRIMARY")
    assert instance.acquisition.instance_number == 7
    assert instance.image.window_center == (40.0, -600.0)
    assert instance.image.window_explanation == ("soft", "lung")
    assert instance.geometry.pixel_spacing == (0.5, 0.75)
    assert instance.series.frame_of_reference_uid == ""
    assert instance.charset_is_faithful


def test_pixel_bytes_lie_where_the_range_says_when_native() -> None:
    pixels = bytes(range(100, 116))
    data = file(body({0x7FE00010: (b"OB", pixels)}))
    found = read(data).pixel_data
    assert found is not None
    assert found.offset is not None
    assert found.length is not None
    assert data[found.offset : found.offset + found.length] == pixels


def test_no_range_is_given_when_pixels_are_encapsulated() -> None:
    found = read(file(BEFORE_PIXELS + encapsulated(bytes(90)), "1.2.840.10008.1.2.4.50")).pixel_data
    assert found is not None
    assert (found.is_encapsulated, found.offset, found.length, found.fragments) == (True, None, None, 1)


def test_rows_are_read_in_their_order_when_big_endian() -> None:
    big = b"".join(
        element(tag, vr, value[::-1] if vr == b"US" else value, order=">")
        for tag, (vr, value) in sorted(plain().items())
    )
    assert read(file(big, BIG_ENDIAN)).image.rows == 4


def test_charset_is_not_faithful_when_text_does_not_decode() -> None:
    changes: Elements = {0x00080005: (b"CS", b"ISO_IR 192"), 0x00100010: (b"PN", b"D\xffe^Jo")}
    instance = read(file(body(changes)))
    assert not instance.charset_is_faithful
    assert instance.patient.patient_name == "D\ufffde^Jo"


def test_geometry_comes_from_functional_groups_when_enhanced() -> None:
    def frame(z: float) -> bytes:
        return sequence(0x00209113, element(0x00200032, b"DS", decimal(1, 2, z)))

    shared = sequence(0x00209116, element(0x00200037, b"DS", decimal(1, 0, 0, 0, 1, 0)))
    shared += sequence(
        0x00289110,
        element(0x00180050, b"DS", decimal(3)) + element(0x00280030, b"DS", decimal(0.5, 0.5)),
    )
    shared += sequence(0x00289145, element(0x00281052, b"DS", b"-8") + element(0x00281053, b"DS", b"2 "))
    groups = sequence(0x52009229, shared) + sequence(0x52009230, frame(10), frame(13), frame(16))
    changes: Elements = {0x00280008: (b"IS", b"3 ")}
    data = file(body(changes, without=(0x7FE00010,)) + groups + element(0x7FE00010, b"OB", bytes(48)))
    instance = read(data)
    assert instance.frames is not None
    assert instance.frames.positions == ((1, 2, 10), (1, 2, 13), (1, 2, 16))
    assert instance.frames.is_complete
    assert instance.frames.orientation == (1, 0, 0, 0, 1, 0)
    assert instance.geometry.image_position_patient == (1, 2, 10)
    assert instance.geometry.slice_thickness == 3
    assert (instance.image.rescale_slope, instance.image.rescale_intercept) == (2, -8)

    few = parse(memoryview(data), ParserLimits(max_frame_positions=2))
    assert isinstance(few, ParsedInstance)
    assert few.frames is not None
    assert few.frames.positions == ((1, 2, 10), (1, 2, 16))
    assert not few.frames.is_complete


def test_groups_are_read_when_they_are_written_as_un() -> None:
    position = implicit_element(0x00200032, decimal(1, 2, 3))
    content = item(implicit_element(0x00209113, item(position)))
    groups = element(0x52009230, b"UN", content)
    instance = read(file(body(without=(0x7FE00010,)) + groups + element(0x7FE00010, b"OB", bytes(16))))
    assert instance.geometry.image_position_patient == (1, 2, 3)


def test_same_outcome_when_a_value_changes_its_vr() -> None:
    numbers = struct.pack("<2d", 0.5, 0.25)
    assert read(file(body({0x00280030: (b"FD", numbers)}))).geometry.pixel_spacing == (0.5, 0.25)


def dicom_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (path.suffix == ".dcm" or path.read_bytes()[128:132] == b"DICM"):
            yield path


@pytest.mark.realdata
@pytest.mark.parametrize("name", SETS)
def test_only_what_is_broken_is_refused_when_files_are_real(real_data: RealData, name: str) -> None:
    paths = list(dicom_files(real_data(name)))
    assert paths
    with ParserPool(processes=1) as pool:
        for start in range(0, len(paths), 50):
            batch = []
            for path in paths[start : start + 50]:
                memory = MemFile(1 << 30)
                memory.write(path.read_bytes())
                batch.append(memory)
            for path, outcome in zip(paths[start : start + 50], pool.parse_batch_sync(batch), strict=True):
                if isinstance(outcome, ParsedInstance):
                    assert_equals_pydicom(path, outcome)
                else:
                    assert is_rightly_refused(name, path, outcome), (path, outcome)
            for memory in batch:
                memory.close()


def is_rightly_refused(name: str, path: Path, rejection: Rejection) -> bool:
    if "DICOMDIR" in path.name:
        return rejection.code == "dicom.dicomdir"
    if name == "ct-bone-ref-totalseg":
        return rejection.code == "dicom.missing_uid"
    return path.name in REFUSED.get(rejection.code, ())


def assert_equals_pydicom(path: Path, instance: ParsedInstance) -> None:
    """Hold every kind of value against an independent reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        where = str(path)
        assert instance.sop_instance_uid == dataset.SOPInstanceUID, where
        assert instance.study_instance_uid == dataset.StudyInstanceUID, where
        assert instance.series_instance_uid == dataset.SeriesInstanceUID, where
        assert instance.patient.patient_id == str(dataset.get("PatientID") or "").strip(), where
        name = "=".join(group.rstrip("^ ") for group in str(dataset.get("PatientName") or "").split("="))
        assert instance.patient.patient_name.rstrip("=") == name.strip().rstrip("="), where
        assert instance.series.modality == str(dataset.get("Modality") or ""), where
        assert instance.image.rows == dataset.get("Rows"), where
        assert instance.image.columns == dataset.get("Columns"), where
        assert instance.image.bits_stored == dataset.get("BitsStored"), where
        assert instance.image.number_of_frames == int(dataset.get("NumberOfFrames") or 1), where
        position = [float(value) for value in dataset.get("ImagePositionPatient") or ()]
        if position:
            assert list(instance.geometry.image_position_patient) == pytest.approx(position), where
        slope = dataset.get("RescaleSlope")
        if slope is not None:
            assert instance.image.rescale_slope is not None
            assert math.isclose(instance.image.rescale_slope, float(slope)), where
        element_there = "PixelData" in dataset and bool(dataset.PixelData)
        found = instance.pixel_data
        if element_there and found is not None and found.offset is not None and found.length is not None:
            assert path.read_bytes()[found.offset : found.offset + found.length] == dataset.PixelData, where


@pytest.mark.realdata
@pytest.mark.parametrize("stem", NAMES)
def test_name_is_right_when_its_character_set_is_declared(real_data: RealData, stem: str) -> None:
    folder = real_data("pydicom-tests") / "core" / "charset_files"
    instance = read((folder / f"{stem}.dcm").read_bytes())
    assert instance.patient.patient_name == NAMES[stem]
    assert instance.charset_is_faithful

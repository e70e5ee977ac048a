"""What decodes of real files, and what is refused and why."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gantry_imaging.decode import decode_frames, read_header, to_modality_units
from gantry_imaging.errors import DecodeError

pytestmark = pytest.mark.realdata

RealData = Callable[[str], Path]

# Every file that holds pixels and is refused nevertheless.
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "pixel.corrupt",  # its coded width is overwritten
    "MR_truncated.dcm": "pixel.corrupt",
    "badVR.dcm": "pixel.corrupt",  # NumberOfFrames "1A"
    "meta_missing_tsyntax.dcm": "pixel.corrupt",  # no Rows
    "nested_priv_SQ.dcm": "pixel.corrupt",  # no Rows
}
# Files named like DICOM which are not: a stray byte stands before the first element.
NOT_DICOM = {"no_meta.dcm"}

SETS = [
    "ct-bone-ref-totalseg",
    "cxr-dev",
    "dcmqi-seg-sr",
    "dicomparser-encap",
    "head-ct-ge28",
    "highdicom-tests",
    "knee-dev",
    "prior-ct-sbu",
    "pydicom-tests",
    "rt-dicompyler",
    "us-cine-dev",
    "wg04-dev",
]


@pytest.mark.parametrize("name", SETS)
def test_every_file_is_decoded_or_refused_with_a_known_code_when_set_is(real_data: RealData, name: str) -> None:
    refused: dict[str, str] = {}
    outcomes: Counter[str] = Counter()
    for path in sorted(p for p in real_data(name).rglob("*") if p.is_file()):
        source = path.read_bytes()
        try:
            dataset = read_header(source)
            frames = decode_frames(source)
            with path.open("rb") as file:
                last = decode_frames(file, len(frames) - 1)
        except DecodeError as refusal:
            outcomes[refusal.code] += 1
            if refusal.code not in ("file.not_dicom", "pixel.absent"):
                refused[path.name] = refusal.code
            elif refusal.code == "file.not_dicom" and path.suffix == ".dcm":
                assert path.name in NOT_DICOM
            continue
        outcomes["decoded"] += 1
        assert frames.shape[1:3] == (dataset.Rows, dataset.Columns)
        np.testing.assert_array_equal(last, frames[-1])
        assert to_modality_units(frames, dataset).shape == frames.shape
    assert outcomes["decoded"] > 0
    assert refused == {file: code for file, code in REFUSED.items() if name == "pydicom-tests"}


@pytest.mark.parametrize("encoding", ["J2KR", "JLSL", "JPLL", "RLE"])
def test_values_equal_the_reference_bit_for_bit_when_encoding_is_lossless(real_data: RealData, encoding: str) -> None:
    root = real_data("wg04-dev")
    paths = sorted((root / encoding).iterdir())
    assert len(paths) >= 4
    for path in paths:
        reference = root / "REF" / path.name.replace(encoding, "UNC")
        np.testing.assert_array_equal(decode_frames(path.read_bytes()), decode_frames(reference.read_bytes()))


def test_values_stay_near_the_reference_when_encoding_is_near_lossless(real_data: RealData) -> None:
    root = real_data("wg04-dev")
    for path in sorted((root / "JLSN").iterdir()):
        reference = decode_frames((root / "REF" / path.name.replace("JLSN", "UNC")).read_bytes())
        difference = np.abs(decode_frames(path.read_bytes()).astype(int) - reference)
        assert 0 < difference.max() <= 10


def test_twelve_bit_jpeg_is_the_picture_when_encoding_is_lossy(real_data: RealData) -> None:
    root = real_data("wg04-dev")
    assert len(sorted((root / "JPLY").iterdir())) == 6
    for name in ("MR1", "MR3", "NM1"):
        lossy = decode_frames((root / "JPLY" / f"{name}_JPLY").read_bytes()).ravel()
        reference = decode_frames((root / "REF" / f"{name}_UNC").read_bytes()).ravel()
        assert np.corrcoef(lossy, reference)[0, 1] > 0.98


def test_frames_are_the_same_when_fragments_and_offset_tables_differ(real_data: RealData) -> None:
    folder = real_data("dicomparser-encap") / "encapsulated" / "multi-frame"
    reference = decode_frames((folder / "CT0012.explicit_little_endian.dcm").read_bytes())
    lossless = [p for p in sorted(folder.glob("CT0012.*")) if not {".51", ".81"} & set(p.suffixes)]
    assert len(lossless) == 8
    for path in lossless:
        np.testing.assert_array_equal(decode_frames(path.read_bytes()), reference)


def test_frames_are_complete_when_only_the_delimiter_is_cut_off(real_data: RealData) -> None:
    folder = real_data("pydicom-tests") / "data"
    whole = decode_frames((folder / "emri_small_jpeg_2k_lossless.dcm").read_bytes())
    cut = decode_frames((folder / "emri_small_jpeg_2k_lossless_too_short.dcm").read_bytes())
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("encoding", ["deflate", "expb", "j2k", "rle"])
def test_bits_are_the_same_when_mask_is_encoded_as(real_data: RealData, encoding: str) -> None:
    folder = real_data("pydicom-tests") / "data"
    reference = decode_frames((folder / "liver.dcm").read_bytes())
    assert set(np.unique(reference)) == {0, 1}
    np.testing.assert_array_equal(decode_frames((folder / f"liver_{encoding}.dcm").read_bytes()), reference)

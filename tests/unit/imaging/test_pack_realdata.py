"""Packs of real series: every file of a set is bit-equal to what its decoder gives, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gantry_imaging.colour import MONOCHROME, to_rgb
from gantry_imaging.decode import decode_frames, decoded_photometric, read_header
from gantry_imaging.errors import ImagingError
from gantry_imaging.modality import to_modality_units
from pack_bytes import packed

pytestmark = pytest.mark.realdata

RealData = Callable[[str], Path]

#: Files that hold pixels and have no pack, with the reason.
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "pixel.corrupt",
    "MR_truncated.dcm": "pixel.corrupt",
    "badVR.dcm": "file.corrupt",
    "meta_missing_tsyntax.dcm": "file.corrupt",
    "nested_priv_SQ.dcm": "file.corrupt",
}


@pytest.mark.parametrize(
    "name",
    ["dicomparser-encap", "highdicom-tests", "knee-dev", "pydicom-tests", "us-cine-dev", "wg04-dev"],
)
def test_every_frame_is_as_decoded_when_set_is(real_data: RealData, name: str) -> None:
    refused: dict[str, str] = {}
    packs = 0
    for path in sorted(p for p in real_data(name).rglob("*") if p.is_file()):
        source = path.read_bytes()
        try:
            pack = packed([source])
        except ImagingError as refusal:
            if refusal.code not in {"file.not_dicom", "pixel.absent"}:
                refused[path.name] = refusal.code
            continue
        packs += 1
        dataset, stored = read_header(source), decode_frames(source)
        by_number = sorted(range(len(stored)), key=lambda n: pack.index.frames[n].frame_number)
        for number, plane in zip(by_number, stored, strict=True):
            entry, read = pack.index.frames[number], pack.read_frame(number)
            if decoded_photometric(dataset) in MONOCHROME:
                expected = to_modality_units(plane, dataset, entry.frame_number - 1)
                np.testing.assert_array_equal(read, expected.astype(read.dtype), err_msg=path.name)
                np.testing.assert_array_equal(read, expected.astype(np.float32), err_msg=path.name)
                assert entry.default_voi() is not None
            else:
                np.testing.assert_array_equal(read, to_rgb(plane, dataset), err_msg=path.name)
    assert packs > 0
    assert refused == {file: code for file, code in REFUSED.items() if name == "pydicom-tests"}


@pytest.mark.parametrize("encoding", ["J2KR", "JLSL", "JPLL", "RLE"])
def test_frames_equal_the_reference_when_encoding_is_lossless(real_data: RealData, encoding: str) -> None:
    root = real_data("wg04-dev")
    for path in sorted((root / encoding).iterdir()):
        reference = root / "REF" / path.name.replace(encoding, "UNC")
        ours, theirs = packed([path.read_bytes()]), packed([reference.read_bytes()])
        np.testing.assert_array_equal(ours.read_frame(0), theirs.read_frame(0))


def _series(folder: Path, modality: str) -> list[bytes]:
    files = [path.read_bytes() for path in sorted(folder.rglob("*.dcm"))]
    return [data for data in files if read_header(data).get("Modality") == modality]


def test_whole_body_pet_is_a_volume_of_rescaled_values(real_data: RealData) -> None:
    files = _series(real_data("pet-seg-qinhn"), "PT")
    pack = packed(files)
    assert (pack.index.kind, pack.index.shape_kji, pack.index.dtype.name) == ("volume", (299, 128, 128), "float32")
    assert pack.index.units == "BQML"
    assert pack.index.frames[0].slope == pytest.approx(2.0222414)
    planes = {}
    for data in files:
        dataset = read_header(data)
        planes[str(dataset.SOPInstanceUID)] = to_modality_units(decode_frames(data, 0), dataset, 0)
    voxels = pack.load_volume().voxels_kji
    for k, frame in enumerate(pack.index.frames):
        np.testing.assert_array_equal(voxels[k], planes[frame.sop_instance_uid])


@pytest.mark.parametrize("name", ["ct-pelvis-vhf", "ct-chest-lidc0314"])
def test_real_ct_is_a_volume_in_hounsfield_units(real_data: RealData, name: str) -> None:
    pack = packed(_series(real_data(name), "CT"))
    assert (pack.index.kind, pack.index.dtype.name, pack.index.units) == ("volume", "int16", "HU")
    along = [frame.image_position_patient[2] for frame in pack.index.frames if frame.image_position_patient]
    assert along == sorted(along)
    assert len(along) == len(pack.index.frames)


def test_tilted_head_is_no_volume_and_says_so(real_data: RealData) -> None:
    pack = packed(_series(real_data("head-ct-ge28"), "CT"))
    assert (pack.index.kind, pack.index.reason_code) == ("stack", "series.gap")
    assert "tilted by 18.50 degrees" in pack.index.reason
    assert len(pack.read_frames(0, 28)) == 28


def test_two_contrasts_of_a_brain_are_volumes(real_data: RealData) -> None:
    series: dict[str, list[bytes]] = {}
    for path in sorted(real_data("prior-mr-ms12").rglob("*.dcm")):
        data = path.read_bytes()
        series.setdefault(str(read_header(data).SeriesInstanceUID), []).append(data)
    packs = [packed(files) for files in series.values()]
    assert {pack.index.kind for pack in packs} == {"volume"}
    assert sum(len(pack.index.frames) for pack in packs) == 192

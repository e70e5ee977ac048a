"""Image planes out of headers."""

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from gantry_imaging.errors import DecodeError
from gantry_imaging.planes import read_slice_headers


def make_dataset(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


PLAIN = {
    "SOPInstanceUID": "1.2.3",
    "InstanceNumber": 7,
    "Rows": 4,
    "Columns": 5,
    "ImagePositionPatient": [1, 2, 3],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.8, 0.7],
    "SliceThickness": 2.5,
    "FrameOfReferenceUID": "1.2.9",
}


def test_plane_is_read_when_image_is_classic() -> None:
    (header,) = read_slice_headers(make_dataset(**PLAIN))
    assert header.sop_instance_uid == "1.2.3"
    assert (header.instance_number, header.frame_index) == (7, 0)
    assert header.image_position_patient == (1, 2, 3)
    assert header.image_orientation_patient == (1, 0, 0, 0, 1, 0)
    assert header.pixel_spacing_mm == (0.8, 0.7)
    assert (header.rows, header.columns) == (4, 5)
    assert (header.frame_of_reference_uid, header.slice_thickness_mm) == ("1.2.9", 2.5)


def test_planes_come_from_groups_when_image_is_enhanced() -> None:
    frames = [
        make_dataset(PlanePositionSequence=[make_dataset(ImagePositionPatient=[0, 0, 3.0 * n])]) for n in range(3)
    ]
    shared = make_dataset(
        PlaneOrientationSequence=[make_dataset(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[make_dataset(PixelSpacing=[1, 2], SliceThickness=3)],
    )
    dataset = make_dataset(
        Rows=4,
        Columns=5,
        NumberOfFrames=3,
        PerFrameFunctionalGroupsSequence=frames,
        SharedFunctionalGroupsSequence=[shared],
    )
    headers = read_slice_headers(dataset)
    assert [header.frame_index for header in headers] == [0, 1, 2]
    assert [header.image_position_patient for header in headers] == [(0, 0, 0), (0, 0, 3), (0, 0, 6)]
    assert {header.pixel_spacing_mm for header in headers} == {(1, 2)}
    assert {header.slice_thickness_mm for header in headers} == {3}


def test_what_is_missing_or_unreadable_is_none_when_header_is_poor() -> None:
    dataset = make_dataset(Rows=4, Columns=5, PixelSpacing=[1], ImagePositionPatient=None)
    for tag, value in ((0x00200037, b"1\\0\\zero"), (0x00200013, b"seven "), (0x00180050, b"")):
        dataset[tag] = RawDataElement(
            BaseTag(tag), "IS" if tag == 0x00200013 else "DS", len(value), value, 0, False, True
        )
    (header,) = read_slice_headers(dataset)
    assert header.instance_number is None
    assert header.image_position_patient is None
    assert header.image_orientation_patient is None
    assert header.pixel_spacing_mm is None
    assert header.slice_thickness_mm is None
    assert header.frame_of_reference_uid is None


def test_header_is_refused_when_it_has_no_size() -> None:
    with pytest.raises(DecodeError) as refusal:
        read_slice_headers(Dataset())
    assert refusal.value.code == "file.corrupt"

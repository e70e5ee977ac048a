"""Whole frames: synthetic ones to the number, real ones by what they must show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from gantry_imaging.decode import decode_frames, read_header
from gantry_imaging.errors import DecodeError
from gantry_imaging.render2d import Viewport, Voi, render_frame

RealData = Callable[[str], Path]


def make_header(**elements: Any) -> Dataset:
    dataset = Dataset()
    defaults = {"PhotometricInterpretation": "MONOCHROME2", "BitsStored": 16, "Modality": "CT"}
    for keyword, value in (defaults | elements).items():
        setattr(dataset, keyword, value)
    return dataset


STORED = np.array([[0, 864], [1063, 1263]], np.uint16)
CT = make_header(RescaleSlope=1, RescaleIntercept=-1024)


def test_grey_is_exact_when_ct_is_windowed() -> None:
    assert render_frame(CT, STORED, voi=Voi(40, 400)).tolist() == [[0, 0], [127, 255]]
    assert render_frame(CT, STORED, voi=Voi(40, 400)).dtype == np.uint8


def test_grey_is_inverted_when_monochrome1() -> None:
    header = make_header(RescaleSlope=1, RescaleIntercept=-1024, PhotometricInterpretation="MONOCHROME1")
    assert render_frame(header, STORED, voi=Voi(40, 400)).tolist() == [[255, 255], [128, 0]]


def test_window_is_the_default_when_none_is_given() -> None:
    np.testing.assert_array_equal(render_frame(CT, STORED), render_frame(CT, STORED, voi=Voi(40, 400)))


def test_edge_is_where_the_window_says_when_image_is_enlarged() -> None:
    # Bone beside air: a threshold at half height must lie midway, which windowing before scaling would blur.
    stored = np.zeros((4, 8), np.uint16)
    stored[:, 4:] = 2000
    header = make_header(RescaleSlope=1, RescaleIntercept=-1000)
    picture = render_frame(header, stored, voi=Voi(0.5, 1), viewport=Viewport(80, 40))
    assert set(np.unique(picture)) == {0, 255}
    np.testing.assert_array_equal(picture[20], [0] * 40 + [255] * 40)


def test_picture_is_rgb_when_image_is_colour() -> None:
    stored = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    header = make_header(PhotometricInterpretation="RGB", BitsStored=8)
    picture = render_frame(header, stored, voi=Voi(0, 1), viewport=Viewport(10, 10))
    assert picture.shape == (10, 10, 3)
    assert (picture == (10, 20, 30)).all()


def test_pixels_become_square_when_spacing_is_not() -> None:
    for elements in ({"PixelSpacing": [2.0, 1.0]}, {"PixelAspectRatio": ["2", "1"]}):
        assert render_frame(make_header(**elements), STORED, viewport=Viewport(50, 100)).shape == (100, 50)
    assert render_frame(make_header(PixelSpacing=[0, 0]), STORED, viewport=Viewport(50, 100)).shape == (
        50,
        50,
    )


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["pydicom-tests", "wg04-dev", "us-cine-dev", "highdicom-tests", "cxr-dev"])
def test_every_decodable_frame_is_a_picture_when_set_is(real_data: RealData, name: str) -> None:
    rendered = 0
    for path in sorted(p for p in real_data(name).rglob("*") if p.is_file()):
        source = path.read_bytes()
        try:
            header, stored = read_header(source), decode_frames(source, 0)
        except DecodeError:
            continue
        picture = render_frame(header, stored, viewport=Viewport(64, 64))
        assert picture.dtype == np.uint8
        assert max(picture.shape[:2]) == 64
        rendered += 1
    assert rendered > 0


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb.dcm"),
        ("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb.dcm"),
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb.dcm"),
        ("SC_rgb_rle_16bit.dcm", "SC_rgb.dcm"),
        ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb.dcm"),
    ],
)
def test_colours_are_the_references_when_encoded_as(real_data: RealData, name: str, reference: str) -> None:
    def render(file: str) -> np.typing.NDArray[np.int_]:
        (path,) = real_data("pydicom-tests").rglob(file)
        source = path.read_bytes()
        return render_frame(read_header(source), decode_frames(source, 0)).astype(int)

    # Lossy codings bleed at the edges of the stripes: the median says whether the colours are right.
    difference = np.abs(render(name) - render(reference))
    assert np.median(difference) <= 1
    assert np.percentile(difference, 80) <= 3


@pytest.mark.realdata
def test_bone_is_white_and_air_is_black_when_pelvis_is_shown_with_the_bone_window(
    real_data: RealData,
) -> None:
    source = (real_data("ct-pelvis-vhf") / "dicom" / "vhf.1011.dcm").read_bytes()
    picture = render_frame(read_header(source), decode_frames(source, 0), voi=Voi(480, 2500))
    assert picture[0, 0] <= 5
    assert np.percentile(picture, 99.9) > 150

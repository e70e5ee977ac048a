"""Rendered resources and thumbnails at every level, read with Pillow and Python's own e-mail parser."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import generate_uid

from ct_files import SIZE, make_ct, slice_pixels, to_files
from gantry.foundation.scope import tenant_scope
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Instance, Series
from gantry.studies.packs import pack_series
from gantry.studies.public import request_pack
from gantry.vault.public import ObjectName, get_vault
from multipart_reader import read_parts
from site_client import Client, by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

FRAMES = 5
PNG = {"Accept": "image/png"}
ALL_PNG = {"Accept": 'multipart/related; type="image/png"'}


def grey(data: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float)


def windowed(values: NDArray[Any], center: float, width: float) -> NDArray[np.float64]:
    """Apply PS3.3 C.11.2.1.2 by its formula."""
    x = values.astype(float)
    y = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    return np.clip(np.where(x <= low, 0, np.where(x > high, 255, y)), 0, 255)


def colour_frames() -> NDArray[np.uint8]:
    """Return a short cine of flat colours, (frame, row, column, sample)."""
    frames = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
    frames[..., 0] = 200
    frames[..., 1] = (np.arange(FRAMES) * 40)[:, None, None]
    frames[:, SIZE // 2 :, :, 2] = 120
    return frames


@dataclass(frozen=True)
class Shelf:
    """One study: seven CT slices, an inverted radiograph, a colour cine, and an object without pixels."""

    world: World
    study: str
    ct: list[Any]
    inverted: Any
    cine: Any
    report: Any

    @property
    def base(self) -> str:
        return f"/dicomweb/studies/{self.study}"

    def series(self, dataset: Any) -> str:
        return f"{self.base}/series/{dataset.SeriesInstanceUID}"

    def instance(self, dataset: Any) -> str:
        return f"{self.series(dataset)}/instances/{dataset.SOPInstanceUID}"

    def pack(self, dataset: Any) -> None:
        with tenant_scope(self.world.system):
            with self.world.reading():
                series_id = Series.objects.get(series_instance_uid=dataset.SeriesInstanceUID).pk
            request_pack(series_id=series_id)
            pack_series(series_id=series_id)


def make_shelf() -> Shelf:
    world = make_world()
    ct = make_ct(7)
    study = str(ct[0].StudyInstanceUID)
    (inverted,) = make_ct(
        1, study_uid=study, Modality="DX", SeriesNumber=2, PhotometricInterpretation="MONOCHROME1",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1.1",
    )  # fmt: skip
    (cine,) = make_ct(
        1, study_uid=study, Modality="US", SeriesNumber=3, PhotometricInterpretation="RGB", SamplesPerPixel=3,
        PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, NumberOfFrames=FRAMES,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", WindowCenter=None, WindowWidth=None, RescaleSlope=None,
        RescaleIntercept=None, PixelData=colour_frames().tobytes(),
    )  # fmt: skip
    (report,) = make_ct(
        1, study_uid=study, Modality="SR", SeriesNumber=0, PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"
    )
    files = to_files([*ct, inverted, cine, report])
    assert by_token(world, Role.INTEGRATOR).stow(files).status_code == 200
    return Shelf(world, study, ct, inverted, cine, report)


@pytest.fixture(scope="module", params=["from instances", "from packs"])
def shelf(request: pytest.FixtureRequest, database: None) -> Shelf:
    """The same study, with and without volume packs: what is shown must not depend on them."""
    made = make_shelf()
    if request.param == "from packs":
        for dataset in (made.ct[0], made.inverted, made.cine):
            made.pack(dataset)
    return made


@pytest.fixture
def reader(shelf: Shelf) -> Client:
    return by_token(shelf.world, Role.RADIOLOGIST)


def picture(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200, answer.text
    return answer.content


def test_representative_picture_of_study_and_series_is_the_middle_of_the_first_images(
    shelf: Shelf, reader: Client
) -> None:
    expected = windowed(slice_pixels(3), 0, 400)
    for path in (shelf.base, shelf.series(shelf.ct[0]), shelf.instance(shelf.ct[3])):
        answer = reader.get(f"{path}/rendered", headers=PNG)
        assert np.abs(grey(picture(answer)) - expected).max() <= 1
        assert answer.headers["gantry-window"] == "0,400"


def test_window_and_viewport_apply_at_every_level(shelf: Shelf, reader: Client) -> None:
    expected = windowed(slice_pixels(3), 40, 1200)
    for path in (shelf.base, shelf.series(shelf.ct[0]), shelf.instance(shelf.ct[3])):
        answer = reader.get(f"{path}/rendered?window=40,1200,linear&viewport=32,32,0,0,16,32", headers=PNG)
        shown = grey(picture(answer))
        assert shown.shape == (32, 16)
        assert np.abs(shown - expected[:, :16]).max() <= 1


def test_all_pictures_of_a_series_come_in_parts_in_their_order(shelf: Shelf, reader: Client) -> None:
    answer = reader.get(f"{shelf.series(shelf.ct[0])}/rendered", headers=ALL_PNG)
    assert answer.status_code == 200
    parts = read_parts(answer)
    assert [kind for kind, _ in parts] == ["image/png"] * 7
    for k, (_, data) in enumerate(parts):
        assert np.abs(grey(data) - windowed(slice_pixels(k), 0, 400)).max() <= 1


def test_all_pictures_of_a_study_leave_out_what_is_none(shelf: Shelf, reader: Client) -> None:
    parts = read_parts(reader.get(f"{shelf.base}/rendered", headers={"Accept": 'multipart/related; type="image/jpeg"'}))
    assert [kind for kind, _ in parts] == ["image/jpeg"] * (7 + 1 + FRAMES)


def test_frames_of_a_cine_are_its_colours(shelf: Shelf, reader: Client) -> None:
    expected = colour_frames()
    path = shelf.instance(shelf.cine)
    for number in (1, FRAMES):
        data = picture(reader.get(f"{path}/frames/{number}/rendered", headers=PNG))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), expected[number - 1])
    middle = picture(reader.get(f"{path}/rendered", headers=PNG))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(middle))), expected[FRAMES // 2])
    parts = read_parts(reader.get(f"{path}/frames/4,2/rendered", headers=ALL_PNG))
    assert [int(np.asarray(Image.open(io.BytesIO(data)))[0, 0, 1]) for _, data in parts] == [120, 40]
    assert len(read_parts(reader.get(f"{path}/frames/1,2/rendered"))) == 2
    assert reader.get(f"{path}/frames/1,2/rendered", headers=PNG).status_code == 406
    for frames in (str(FRAMES + 1), "1,x", "0", ",", "1,,2", "²", "1" * 30):
        assert reader.get(f"{path}/frames/{frames}/rendered").status_code == 400, frames


def test_low_values_are_white_when_the_image_says_so(shelf: Shelf, reader: Client) -> None:
    shown = grey(picture(reader.get(f"{shelf.instance(shelf.inverted)}/rendered", headers=PNG)))
    assert np.abs(shown - (255 - windowed(slice_pixels(0), 0, 400))).max() <= 1


def test_thumbnail_stands_for_every_level(shelf: Shelf, reader: Client) -> None:
    small = windowed(slice_pixels(3), 0, 400)
    for path in (
        shelf.base,
        shelf.series(shelf.ct[0]),
        shelf.instance(shelf.ct[3]),
        f"{shelf.instance(shelf.ct[3])}/frames/1",
    ):
        shown = grey(picture(reader.get(f"{path}/thumbnail", headers=PNG)))
        assert shown.shape == (128, 128)
        assert np.abs(shown[::4, ::4] - small).mean() < 6
        assert grey(picture(reader.get(f"{path}/thumbnail?viewport=64,16", headers=PNG))).shape == (16, 16)
    cine = picture(reader.get(f"{shelf.series(shelf.cine)}/thumbnail", headers=PNG))
    assert Image.open(io.BytesIO(cine)).mode == "RGB"
    inverted = grey(picture(reader.get(f"{shelf.series(shelf.inverted)}/thumbnail", headers=PNG)))
    assert inverted[0].mean() > inverted[-1].mean()
    for nonsense in ("viewport=2000,2000", "viewport=64,64,0,0,8,8", "viewport=x"):
        assert reader.get(f"{shelf.base}/thumbnail?{nonsense}").status_code == 400


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("image/webp", "image/webp"),
        ("image/jpeg;q=0.3, image/png", "image/png"),
        ("image/png;q=0, image/jpeg", "image/jpeg"),
        ("text/html, image/*;q=0.8", "image/jpeg"),
        ("*/*", "image/jpeg"),
        ("nonsense;;;, image/png", "image/png"),
        ('multipart/related; type="image/png"', "multipart/related"),
        ("multipart/related", "multipart/related"),
        ('multipart/related; type="image/gif", image/webp;q=0.1', "image/webp"),
    ],
)
def test_best_accepted_type_is_chosen(shelf: Shelf, reader: Client, accept: str, expected: str) -> None:
    answer = reader.get(f"{shelf.instance(shelf.ct[0])}/rendered", headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] == expected
    by_query = reader.get(
        f"{shelf.instance(shelf.ct[0])}/rendered", params={"accept": accept}, headers={"Accept": "a/b"}
    )
    assert by_query.headers["content-type"].split(";")[0] == expected


@pytest.mark.parametrize("accept", ["image/gif", "application/dicom", 'multipart/related; type="video/mp4"', "x"])
def test_other_types_are_not_to_be_had(shelf: Shelf, reader: Client, accept: str) -> None:
    for path in (shelf.base, shelf.instance(shelf.cine)):
        answer = reader.get(f"{path}/rendered", headers={"Accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (406, "request.not_acceptable")


@pytest.mark.parametrize(
    ("query", "status", "is_warned"),
    [
        ("annotation=patient", 200, True),
        ("annotation=patient,technique", 200, True),
        ("annotation=everything", 400, False),
        ("iccprofile=no", 200, False),
        ("iccprofile=srgb", 200, True),
        ("iccprofile=x", 400, False),
        ("presentationUID=1.2.3", 200, False),
    ],
)
def test_what_is_not_done_is_said(shelf: Shelf, reader: Client, query: str, status: int, is_warned: bool) -> None:
    answer = reader.get(f"{shelf.instance(shelf.ct[0])}/rendered?{query}", headers=PNG)
    assert answer.status_code == status
    assert answer.headers.get("warning", "").startswith("299 ") is is_warned


def test_object_without_pixels_has_no_picture(shelf: Shelf, reader: Client) -> None:
    for path in (shelf.instance(shelf.report), shelf.series(shelf.report)):
        for what in ("rendered", "thumbnail"):
            answer = reader.get(f"{path}/{what}")
            assert (answer.status_code, answer.json()["code"]) == (406, "picture.unavailable")


def test_absence_looks_the_same_at_every_level(shelf: Shelf, reader: Client) -> None:
    stranger, ct = generate_uid(), shelf.ct[0]
    bases = [
        f"/dicomweb/studies/{stranger}",
        f"{shelf.base}/series/{stranger}",
        f"{shelf.series(ct)}/instances/{stranger}",
        f"{shelf.series(ct)}/instances/{stranger}/frames/1",
    ]
    for base in bases:
        for what in ("rendered", "thumbnail"):
            assert reader.get(f"{base}/{what}").status_code == 404


def test_frame_that_cannot_be_shown_is_a_part_that_says_so() -> None:
    world = make_world()
    good = make_ct(2)
    study, series = str(good[0].StudyInstanceUID), str(good[0].SeriesInstanceUID)
    (broken,) = make_ct(
        1, study_uid=study, series_uid=series, InstanceNumber=9, PhotometricInterpretation="PALETTE COLOR"
    )
    assert by_token(world, Role.INTEGRATOR).stow(to_files([*good, broken])).status_code == 200
    reader = by_token(world, Role.RADIOLOGIST)
    parts = read_parts(reader.get(f"/dicomweb/studies/{study}/series/{series}/rendered", headers=ALL_PNG))
    assert [kind for kind, _ in parts] == ["image/png", "image/png", "application/problem+json"]
    alone = reader.get(f"/dicomweb/studies/{study}/series/{series}/instances/{broken.SOPInstanceUID}/rendered")
    assert (alone.status_code, alone.json()["code"]) == (406, "picture.unavailable")


def test_frame_comes_out_of_the_pack_when_the_instance_is_gone_or_too_large() -> None:
    """One range read of the pack is all that a picture takes: the instance's own object need not even be there."""
    shelf = make_shelf()
    reader = by_token(shelf.world, Role.RADIOLOGIST)
    path = f"{shelf.instance(shelf.ct[2])}/rendered"
    before = picture(reader.get(path, headers=PNG))
    shelf.pack(shelf.ct[0])
    with shelf.world.reading():
        row = Instance.objects.get(sop_instance_uid=shelf.ct[2].SOPInstanceUID)
    get_vault().objects.delete(ObjectName(shelf.world.tenant_id, row.object_id))
    assert picture(reader.get(path, headers=PNG)) == before

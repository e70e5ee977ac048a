"""WADO-RS through the whole application: bytes as they came, pictures as the numbers say, absence without a trace."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from audit_trail import Trail
from ct_files import SIZE, make_ct, slice_pixels, to_files
from gantry.kernel.vocabulary import Role
from multipart_reader import read_parts
from site_client import Client, by_token
from world import World, make_world

SERIES = make_ct(6)
FILES = to_files(SERIES)
STUDY = f"/dicomweb/studies/{SERIES[0].StudyInstanceUID}"
FIRST = f"{STUDY}/series/{SERIES[0].SeriesInstanceUID}/instances/{SERIES[0].SOPInstanceUID}"


@pytest.fixture(scope="module")
def world(database: None) -> World:
    world = make_world()
    assert by_token(world, Role.INTEGRATOR).stow(FILES).status_code == 200
    return world


@pytest.fixture
def reader(world: World) -> Client:
    return by_token(world, Role.RADIOLOGIST)


def digests(parts: list[tuple[str, bytes]]) -> list[str]:
    return sorted(hashlib.sha256(content).hexdigest() for _, content in parts)


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.INTEGRATOR])
@pytest.mark.parametrize("level", ["study", "series"])
def test_bytes_are_the_same_when_they_come_back(world: World, role: Role, level: str) -> None:
    path = STUDY if level == "study" else f"{STUDY}/series/{SERIES[0].SeriesInstanceUID}"
    answer = by_token(world, role).get(path, headers={"Accept": 'multipart/related; type="application/dicom"'})
    assert answer.status_code == 200
    parts = read_parts(answer)
    assert digests(parts) == sorted(hashlib.sha256(file).hexdigest() for file in FILES)
    assert {kind.replace('"', "") for kind, _ in parts} == {"application/dicom; transfer-syntax=1.2.840.10008.1.2.1"}


def test_single_instance_comes_plain_or_as_one_part(reader: Client) -> None:
    plain = reader.get(FIRST, headers={"Accept": "application/dicom"})
    assert (plain.headers["content-type"], plain.content) == ("application/dicom", FILES[0])
    assert plain.headers["content-length"] == str(len(FILES[0]))
    ((_, content),) = read_parts(reader.get(FIRST))
    assert content == FILES[0]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ('multipart/related; type="application/dicom"', 200),
        ("multipart/related; type=application/dicom; transfer-syntax=*", 200),
        ("*/*", 200),
        ('multipart/related; type="image/jpeg"', 406),
        ('multipart/related; type="application/octet-stream"', 406),
        ("text/html", 406),
        ("application/dicom+json", 406),
    ],
)
def test_what_is_accepted_decides_when_a_study_is_fetched(reader: Client, accept: str, status: int) -> None:
    answer = reader.get(STUDY, headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert answer.json()["code"] == "request.not_acceptable"


def _grey(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("L")).astype(float)


def _window(k: int, center: float, width: float) -> Any:
    """Apply PS3.3 C.11.2.1.2 by its formula."""
    x = slice_pixels(k).astype(float)
    y = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.clip(
        np.where(x <= center - 0.5 - (width - 1) / 2, 0, np.where(x > center - 0.5 + (width - 1) / 2, 255, y)),
        0,
        255,
    )


@pytest.mark.parametrize(("center", "width"), [(0, 400), (40, 1200), (-300, 100)])
def test_picture_has_the_window_s_values_when_it_is_rendered(reader: Client, center: int, width: int) -> None:
    answer = reader.get(
        f"{FIRST}/rendered", params={"window": f"{center},{width},linear"}, headers={"Accept": "image/png"}
    )
    assert answer.headers["content-type"] == "image/png"
    picture = _grey(answer)
    assert picture.shape == (SIZE, SIZE)
    assert np.abs(picture - _window(0, center, width)).max() <= 1


def test_picture_uses_the_object_s_own_window_when_none_is_asked_for(reader: Client) -> None:
    picture = _grey(reader.get(f"{FIRST}/rendered", headers={"Accept": "image/png"}))
    assert np.abs(picture - _window(0, 0, 400)).max() <= 1


def test_jpeg_is_close_to_the_lossless_picture(reader: Client) -> None:
    png = _grey(reader.get(f"{FIRST}/rendered", headers={"Accept": "image/png"}))
    jpeg = reader.get(f"{FIRST}/rendered", params={"quality": "95"}, headers={"Accept": "image/jpeg"})
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert np.abs(_grey(jpeg) - png).mean() < 4
    small = reader.get(f"{FIRST}/rendered", params={"quality": "5"}, headers={"Accept": "image/jpeg"})
    assert len(small.content) < len(jpeg.content)


def test_viewport_scales_the_picture(reader: Client) -> None:
    picture = _grey(reader.get(f"{FIRST}/rendered", params={"viewport": "16,16"}, headers={"Accept": "image/png"}))
    assert picture.shape == (16, 16)
    full = _window(0, 0, 400)
    assert np.abs(picture - full.reshape(16, 2, 16, 2).mean(axis=(1, 3))).mean() < 6


def test_frame_is_the_only_one_when_it_is_named(reader: Client) -> None:
    one = reader.get(f"{FIRST}/frames/1/rendered", headers={"Accept": "image/png"})
    assert one.content == reader.get(f"{FIRST}/rendered", headers={"Accept": "image/png"}).content
    assert reader.get(f"{FIRST}/frames/2/rendered").status_code == 400


@pytest.mark.parametrize("path", [f"{FIRST}/thumbnail", f"{STUDY}/series/{SERIES[0].SeriesInstanceUID}/thumbnail"])
def test_thumbnail_is_small(reader: Client, path: str) -> None:
    picture = _grey(reader.get(path))
    assert max(picture.shape) == 128


@pytest.mark.parametrize(
    "query",
    [
        "window=a,b,linear", "window=1", "window=0,-5,linear", "window=nan,nan,linear", "window=0,1e400,linear",
        "viewport=0,0", "viewport=x", "viewport=100000,100000", "viewport=-1,5", "quality=0", "quality=101", "quality=x",
    ],
)  # fmt: skip
def test_picture_is_refused_with_a_sentence_when_the_parameters_are_nonsense(reader: Client, query: str) -> None:
    answer = reader.get(f"{FIRST}/rendered?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid")
    assert answer.json()["detail"]


@pytest.mark.parametrize("frame", ["0", "x", "-1", "99999999999"])
def test_frame_is_refused_when_it_is_none(reader: Client, frame: str) -> None:
    assert reader.get(f"{FIRST}/frames/{frame}/rendered").status_code == 400


def test_picture_type_is_refused_when_it_cannot_be_had(reader: Client) -> None:
    answer = reader.get(f"{FIRST}/rendered", headers={"Accept": "image/gif"})
    assert (answer.status_code, answer.json()["code"]) == (406, "request.not_acceptable")


@pytest.mark.parametrize("nonsense", ["%00", "1.2%00.3", "%F0%9F%92%A9", "..%2f..%2fx", "'--", "1" * 500])
@pytest.mark.parametrize("place", ["study", "series", "instance"])
def test_nonsense_is_absent_when_it_stands_for_a_uid(reader: Client, place: str, nonsense: str) -> None:
    study, series, instance = (
        SERIES[0].StudyInstanceUID,
        SERIES[0].SeriesInstanceUID,
        SERIES[0].SOPInstanceUID,
    )
    paths = {
        "study": f"/dicomweb/studies/{nonsense}",
        "series": f"/dicomweb/studies/{study}/series/{nonsense}",
        "instance": f"/dicomweb/studies/{study}/series/{series}/instances/{nonsense}",
    }
    assert reader.get(f"/dicomweb/studies/{study}/series/{series}/instances/{instance}").status_code == 200
    answer = reader.get(paths[place])
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def _shape(answer: httpx.Response) -> tuple[Any, ...]:
    body = answer.json()
    body.pop("correlation_id")
    headers = {name: value for name, value in answer.headers.items() if name != "x-correlation-id"}
    return answer.status_code, body, headers


def test_absence_looks_the_same_at_every_level(reader: Client) -> None:
    study, series = SERIES[0].StudyInstanceUID, SERIES[0].SeriesInstanceUID
    stranger = generate_uid()
    absent = [
        f"/dicomweb/studies/{stranger}",
        f"/dicomweb/studies/{stranger}/series/{series}",
        f"/dicomweb/studies/{study}/series/{stranger}",
        f"/dicomweb/studies/{study}/series/{series}/instances/{stranger}",
        f"/dicomweb/studies/{stranger}/series/{series}/instances/{SERIES[0].SOPInstanceUID}",
        f"/dicomweb/studies/{study}/series/{series}/instances/{stranger}/rendered",
        f"/dicomweb/studies/{study}/series/{stranger}/thumbnail",
    ]
    shapes = [_shape(reader.get(path)) for path in absent]
    assert shapes[0][0] == 404
    assert all(shape == shapes[0] for shape in shapes)


def test_lost_object_is_an_answer_when_it_cannot_be_read(trail_of: Callable[[World], Trail]) -> None:
    from gantry.vault.public import get_vault
    from gantry_storage.objects import ObjectName

    world = make_world()
    series = make_ct(1)
    by_token(world, Role.INTEGRATOR).stow(to_files(series))
    reader = by_token(world, Role.RADIOLOGIST)
    path = f"/dicomweb/studies/{series[0].StudyInstanceUID}"
    assert reader.get(path).status_code == 200
    (blob,) = get_vault().objects.list(world.tenant_id)
    get_vault().objects.delete(ObjectName(world.tenant_id, blob.name.object_id))
    answer = reader.get(path)
    assert answer.status_code >= 500
    assert answer.headers["content-type"] == "application/problem+json"


def test_read_is_recorded_once_when_a_viewer_fetches_slice_by_slice(
    trail_of: Callable[[World], Trail],
) -> None:
    world = make_world()
    series = make_ct(8)
    by_token(world, Role.INTEGRATOR).stow(to_files(series))
    trail, reader = trail_of(world), by_token(world, Role.RADIOLOGIST)
    base = f"/dicomweb/studies/{series[0].StudyInstanceUID}/series/{series[0].SeriesInstanceUID}/instances"

    async def look() -> list[httpx.Response]:
        import asyncio

        return await asyncio.gather(*(reader.http.get(f"{base}/{one.SOPInstanceUID}/rendered") for one in series))

    from site_client import run

    assert {answer.status_code for answer in run(look())} == {200}
    assert trail.actions() == ["images.shown"]

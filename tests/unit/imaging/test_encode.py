"""Pictures to bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from gantry_imaging.encode import encode_image
from gantry_imaging.errors import RenderError

GREY = np.add.outer(np.arange(120), np.arange(130)).astype(np.uint8)
COLOUR = np.stack([GREY, GREY.T[:120].repeat(2, axis=1)[:, :130], 255 - GREY], axis=-1)


@pytest.mark.parametrize(("picture", "mode"), [(GREY, "L"), (COLOUR, "RGB")])
def test_picture_comes_back_exactly_when_png(picture: np.typing.NDArray[np.uint8], mode: str) -> None:
    image = Image.open(io.BytesIO(encode_image(picture, "image/png")))
    assert (image.format, image.mode) == ("PNG", mode)
    np.testing.assert_array_equal(np.asarray(image), picture)


@pytest.mark.parametrize(("picture", "mode"), [(GREY, "L"), (COLOUR, "RGB")])
def test_picture_comes_back_nearly_and_grey_stays_one_channel_when_jpeg(
    picture: np.typing.NDArray[np.uint8], mode: str
) -> None:
    image = Image.open(io.BytesIO(encode_image(picture, "image/jpeg", 95)))
    assert (image.format, image.mode) == ("JPEG", mode)
    assert np.abs(np.asarray(image).astype(int) - picture).mean() < 4


def test_picture_comes_back_nearly_when_webp() -> None:
    image = Image.open(io.BytesIO(encode_image(GREY, "image/webp", 90)))
    assert image.format == "WEBP"
    assert np.abs(np.asarray(image.convert("L")).astype(int) - GREY).mean() < 4


def test_bytes_get_fewer_when_quality_does() -> None:
    sizes = [len(encode_image(GREY, "image/jpeg", quality)) for quality in (95, 70, 30)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[2]


@pytest.mark.parametrize(
    ("media_type", "quality", "code"),
    [
        ("image/gif", 85, "render.bad_media_type"),
        ("text/html", 85, "render.bad_media_type"),
        ("image/jpeg", 0, "render.bad_quality"),
        ("image/jpeg", 101, "render.bad_quality"),
    ],
)
def test_picture_is_refused_when(media_type: str, quality: int, code: str) -> None:
    with pytest.raises(RenderError) as refusal:
        encode_image(GREY, media_type, quality)
    assert refusal.value.code == code

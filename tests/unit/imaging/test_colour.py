"""Colour spaces and palettes."""

from struct import pack
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from gantry_imaging.colour import to_rgb
from gantry_imaging.errors import DecodeError, RenderError


def make_palette(descriptor: list[int], prefix: str = "", **tables: bytes) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", descriptor)
        setattr(dataset, f"{prefix}{colour}PaletteColorLookupTableData", tables[colour])
    return dataset


def words(*values: int) -> bytes:
    return pack(f"<{len(values)}H", *values)


INDICES = np.array([[0, 1, 2, 3, 200]], np.uint8)


@pytest.mark.parametrize(
    ("bits", "red", "green", "blue"),
    [
        (8, bytes([0, 10, 20]), bytes([1, 11, 21]), bytes([2, 12, 22])),
        (16, words(0, 10 << 8, 20 << 8), words(1 << 8, 11 << 8, 21 << 8), words(2 << 8, 12 << 8, 22 << 8)),
        (16, words(0, 10, 20), words(1, 11, 21), words(2, 12, 22)),
    ],
)
def test_palette_is_looked_up_when_entries_are(bits: int, red: bytes, green: bytes, blue: bytes) -> None:
    if bits == 8:
        red, green, blue = red + b"\0", green + b"\0", blue + b"\0"
    rgb = to_rgb(INDICES, make_palette([3, 1, bits], Red=red, Green=green, Blue=blue))
    first, second, last = [0, 1, 2], [10, 11, 12], [20, 21, 22]
    assert rgb.dtype == np.uint8
    assert rgb.tolist() == [[first, first, second, last, last]]


def test_palette_is_expanded_when_segmented() -> None:
    # PS3.3 C.7.9.2: two discrete values, a line over three steps to 800, then both again by reference.
    segments = words(0, 2, 100, 200, 1, 3, 800, 2, 2, 0, 0)
    dataset = make_palette([10, 0, 16], "Segmented", Red=segments, Green=segments, Blue=segments)
    rgb = to_rgb(np.arange(10, dtype=np.uint16).reshape(1, 10), dataset)
    expected = [100, 200, 400, 600, 800, 100, 200, 400, 600, 800]
    assert rgb[0, :, 1].tolist() == [value >> 8 for value in expected]


@pytest.mark.parametrize(
    "segments",
    [
        words(0, 2, 100, 200),  # too few entries
        words(1, 5, 100),  # a line from nowhere
        words(7, 1, 1),  # no such segment
        words(0),
        b"\1",
    ],
)
def test_palette_is_refused_when_segments_are_impossible(segments: bytes) -> None:
    dataset = make_palette([10, 0, 16], "Segmented", Red=segments, Green=segments, Blue=segments)
    with pytest.raises(DecodeError) as refusal:
        to_rgb(INDICES, dataset)
    assert refusal.value.code == "pixel.corrupt"


def test_palette_stays_small_when_segments_ask_for_millions() -> None:
    bomb = words(0, 1, 9) + words(1, 65535, 9) * 2000 + words(2, 65535, 0, 0) * 2000
    dataset = make_palette([4, 0, 16], "Segmented", Red=bomb, Green=bomb, Blue=bomb)
    assert to_rgb(INDICES, dataset).max() == 9


def make_colour(photometric: str, **elements: Any) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = photometric
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("photometric", "ycc", "rgb"),
    [
        ("YBR_FULL", (76, 85, 255), (254, 0, 0)),
        ("YBR_FULL", (128, 128, 128), (128, 128, 128)),
        ("YBR_PARTIAL_422", (235, 128, 128), (255, 255, 255)),
        ("YBR_PARTIAL_422", (16, 128, 128), (0, 0, 0)),
        ("YBR_PARTIAL_422", (81, 90, 240), (255, 0, 0)),
        ("YBR_RCT", (1, 2, 3), (1, 2, 3)),
    ],
)
def test_colour_is_rgb_when_photometric_is(
    photometric: str, ycc: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    picture = to_rgb(np.full((2, 2, 3), ycc, np.uint8), make_colour(photometric, BitsStored=8))
    np.testing.assert_allclose(picture[0, 0].astype(int), rgb, atol=1)


def test_high_bits_show_when_colour_has_sixteen() -> None:
    stored = np.full((1, 1, 3), (0xFFFF, 0x8000, 0x00FF), np.uint16)
    assert to_rgb(stored, make_colour("RGB", BitsStored=16)).tolist() == [[[255, 128, 0]]]


@pytest.mark.parametrize(("photometric", "samples"), [("HSV", 3), ("CMYK", 4), ("RGB", 4), ("MONOCHROME2", 3)])
def test_colour_is_refused_when_photometric_is(photometric: str, samples: int) -> None:
    with pytest.raises(RenderError) as refusal:
        to_rgb(np.zeros((2, 2, samples), np.uint8), make_colour(photometric))
    assert refusal.value.code == "render.unsupported_photometric"

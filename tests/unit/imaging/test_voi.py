"""Windows and lookup tables."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from gantry_imaging.errors import RenderError
from gantry_imaging.voi import PRESETS, Voi, VoiFunction, apply_voi, default_voi

functions = st.sampled_from(list(VoiFunction))
windows = st.builds(Voi, st.floats(-2000, 4000), st.floats(1, 6000), functions)


def standard(x: float, voi: Voi) -> float:
    """Pseudo-code of PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2 with ymin 0 and ymax 255."""
    c, w, ymin, ymax = voi.center, voi.width, 0.0, 255.0
    if voi.function is VoiFunction.SIGMOID:
        return (ymax - ymin) / (1 + math.exp(min(700.0, -4 * (x - c) / w))) + ymin
    if voi.function is VoiFunction.LINEAR_EXACT:
        if x <= c - w / 2:
            return ymin
        if x > c + w / 2:
            return ymax
        return ((x - c) / w + 0.5) * (ymax - ymin) + ymin
    if x <= c - 0.5 - (w - 1) / 2:
        return ymin
    if x > c - 0.5 + (w - 1) / 2:
        return ymax
    return ((x - (c - 0.5)) / (w - 1) + 0.5) * (ymax - ymin) + ymin


@given(voi=windows, values=st.lists(st.integers(-3000, 5000), min_size=1, max_size=40))
def test_grey_is_the_standards_when_values_are_whole(voi: Voi, values: list[int]) -> None:
    grey = apply_voi(np.array(values, np.int16), voi)
    np.testing.assert_allclose(grey, [standard(x, voi) for x in values], atol=0.5 + 1e-6)


@given(voi=windows, values=st.lists(st.floats(-3000, 5000, width=32), min_size=1, max_size=40))
def test_grey_is_the_standards_when_values_lie_between(voi: Voi, values: list[float]) -> None:
    grey = apply_voi(np.array(values, np.float32), voi)
    np.testing.assert_allclose(grey, [standard(x, voi) for x in values], atol=0.55)


@given(voi=windows, invert=st.booleans())
def test_table_and_formula_agree_when_image_is_large(voi: Voi, invert: bool) -> None:
    values = np.arange(-20000, 20000, dtype=np.int16)
    by_table = apply_voi(values, voi, invert)
    by_formula = apply_voi(values.astype(np.int32), voi, invert)
    np.testing.assert_array_equal(by_table, by_formula)
    assert (np.diff(by_table.astype(int)) <= 0 if invert else np.diff(by_table.astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("voi", "values", "grey"),
    [
        # The standard's own examples: c=2048 w=4096 spans 0 to 4095; c=2048 w=1 is a threshold; c=0 w=100.
        (Voi(2048, 4096), [-1, 0, 2047, 2048, 4095, 4096], [0, 0, 127, 128, 255, 255]),
        (Voi(2048, 1), [2047, 2048], [0, 255]),
        (Voi(0, 100), [-50, -49, 48, 49, 50], [0, 3, 252, 255, 255]),
        (Voi(0, 100, VoiFunction.LINEAR_EXACT), [-50, -49, 0, 49, 50], [0, 3, 128, 252, 255]),
        (Voi(0, 100, VoiFunction.SIGMOID), [-1000, -50, 0, 50, 1000], [0, 30, 128, 225, 255]),
        (Voi(128, 256), [0, 1, 100, 254, 255], [0, 1, 100, 254, 255]),
    ],
)
def test_grey_is_the_golden_number_when(voi: Voi, values: list[int], grey: list[int]) -> None:
    assert apply_voi(np.array(values, np.int16), voi).tolist() == grey
    assert apply_voi(np.array(values, np.float32), voi).tolist() == grey
    assert apply_voi(np.array(values, np.int16), voi, invert=True).tolist() == [255 - g for g in grey]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_every_type_is_windowed_alike_when_values_are_the_same(dtype: type) -> None:
    values = (np.arange(200 * 200) % 120).reshape(200, 200)
    np.testing.assert_array_equal(apply_voi(values.astype(dtype), Voi(60, 90)), apply_voi(values, Voi(60, 90)))


def test_values_without_number_are_black_when_map_is_float() -> None:
    assert apply_voi(np.array([np.nan, np.inf, -np.inf], np.float32), Voi(0, 10)).tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("40,400", Voi(40, 400)),
        ("40,400,linear", Voi(40, 400)),
        ("-600, 1500.5 ,LINEAR-EXACT", Voi(-600, 1500.5, VoiFunction.LINEAR_EXACT)),
        ("0,0.5,sigmoid", Voi(0, 0.5, VoiFunction.SIGMOID)),
    ],
)
def test_window_is_read_when_query_is(text: str, expected: Voi) -> None:
    assert Voi.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "40", "a,b", "40,400,cubic", "40,0.5,linear", "40,0,sigmoid", "nan,1", "1,inf", "1,2,linear,3"],
)
def test_window_is_refused_when_query_is(text: str) -> None:
    with pytest.raises(RenderError) as refusal:
        Voi.parse(text)
    assert refusal.value.code == "render.bad_window"


def make_dataset(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


CT_VALUES = np.linspace(-1000, 1000, 64).reshape(8, 8)


def test_own_window_comes_first_when_file_names_several() -> None:
    dataset = make_dataset(Modality="CT", BitsStored=12, WindowCenter=[50, -600], WindowWidth=[350, 1500])
    assert default_voi(dataset, CT_VALUES) == Voi(50, 350)


def test_function_is_the_files_when_it_names_one() -> None:
    dataset = make_dataset(WindowCenter="10", WindowWidth="20", VOILUTFunction="LINEAR_EXACT")
    dataset.BitsStored = 12
    assert default_voi(dataset, CT_VALUES) == Voi(10, 20, VoiFunction.LINEAR_EXACT)


def test_frames_window_comes_first_when_groups_name_one() -> None:
    group = make_dataset(FrameVOILUTSequence=[make_dataset(WindowCenter=5, WindowWidth=6)])
    dataset = make_dataset(
        BitsStored=12, WindowCenter=50, WindowWidth=350, PerFrameFunctionalGroupsSequence=[Dataset(), group]
    )
    assert default_voi(dataset, CT_VALUES, 0) == Voi(50, 350)
    assert default_voi(dataset, CT_VALUES, 1) == Voi(5, 6)


@pytest.mark.parametrize("width", [0, -400])
def test_preset_stands_in_when_own_window_is_impossible(width: int) -> None:
    dataset = make_dataset(Modality="CT", WindowCenter=40, WindowWidth=width, BitsStored=12)
    assert default_voi(dataset, CT_VALUES) == PRESETS["CT"]["soft tissue"]


def test_window_covers_the_tissue_when_modality_has_no_preset() -> None:
    values = np.concatenate([np.full(5000, -2000), np.arange(1000)]).astype(np.int16)
    voi = default_voi(make_dataset(Modality="MR", BitsStored=16, PixelPaddingValue=-2000), values)
    assert voi.function is VoiFunction.LINEAR_EXACT
    assert voi.center == pytest.approx(500, abs=10)
    assert voi.width == pytest.approx(990, abs=20)


def test_picture_shows_as_it_is_when_pixels_have_eight_bits() -> None:
    values = np.arange(256, dtype=np.uint8)
    voi = default_voi(make_dataset(Modality="US", BitsStored=8), values)
    np.testing.assert_array_equal(apply_voi(values, voi), values)


@pytest.mark.parametrize("value", [0, 7, -1000])
def test_window_is_possible_when_image_is_flat(value: int) -> None:
    voi = default_voi(make_dataset(Modality="MR", BitsStored=16), np.full((4, 4), value, np.int16))
    assert apply_voi(np.full((4, 4), value, np.int16), voi).max() == 0


def test_table_is_used_when_file_has_one() -> None:
    table = make_dataset(LUTDescriptor=[4, 10, 12], LUTData=[0, 1365, 2730, 4095])
    values = np.array([0, 10, 11, 12, 13, 99], np.int16)
    voi = default_voi(make_dataset(VOILUTSequence=[table], WindowCenter=1, WindowWidth=2), values)
    assert apply_voi(values, voi).tolist() == [0, 0, 85, 170, 255, 255]
    assert apply_voi(values, voi, invert=True).tolist() == [255, 255, 170, 85, 0, 0]

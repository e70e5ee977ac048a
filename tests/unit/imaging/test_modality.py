"""Stored values to modality units."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.decode import to_modality_units
from gantry_imaging.errors import DecodeError

STORED = np.array([[0, 1], [2000, 4095]], np.uint16)


def make_dataset(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "dtype", "expected"),
    [
        (STORED, 1, -1024, np.int16, [[-1024, -1023], [976, 3071]]),
        (np.array([[65535]], np.uint16), 1, -32768, np.int16, [[32767]]),
        (np.array([[65535]], np.uint16), 1, -1024, np.int32, [[64511]]),
        (np.array([[-32768]], np.int16), 1, -1, np.int32, [[-32769]]),
        (np.array([[30000]], np.uint16), 2, 0, np.int32, [[60000]]),
        (STORED, 0.5, 0, np.float32, [[0, 0.5], [1000, 2047.5]]),
        (np.array([[0.5]], np.float32), 2, 1, np.float32, [[2.0]]),
    ],
)
def test_values_are_exact_when_rescaled(
    stored: NDArray[Any], slope: float, intercept: float, dtype: type, expected: list[list[float]]
) -> None:
    values = to_modality_units(stored, make_dataset(RescaleSlope=slope, RescaleIntercept=intercept), 0)
    assert values.dtype == dtype
    assert values.tolist() == expected


def test_values_are_the_stored_ones_when_nothing_is_said() -> None:
    assert to_modality_units(STORED, Dataset(), 0) is STORED


def test_colour_is_left_alone_when_rescale_is_there() -> None:
    colour = np.zeros((2, 2, 3), np.uint8)
    assert to_modality_units(colour, make_dataset(RescaleSlope=1, RescaleIntercept=5), 0) is colour


def test_table_replaces_rescale_when_there_is_one() -> None:
    table = make_dataset(LUTDescriptor=[3, 1, 16], LUTData=[10, 20, 60000])
    dataset = make_dataset(ModalityLUTSequence=[table], RescaleSlope=1, RescaleIntercept=7)
    assert to_modality_units(STORED, dataset, 0).tolist() == [[10, 10], [60000, 60000]]


def test_each_frame_has_its_own_rescale_when_groups_say_so() -> None:
    groups = [
        make_dataset(PixelValueTransformationSequence=[make_dataset(RescaleSlope=slope, RescaleIntercept=0)])
        for slope in (1, 3)
    ]
    dataset = make_dataset(PerFrameFunctionalGroupsSequence=groups)
    both = np.stack([STORED, STORED])
    assert to_modality_units(both, dataset)[:, 1, 1].tolist() == [4095, 12285]
    assert to_modality_units(STORED, dataset, 1)[1, 1] == 12285


def test_shared_group_holds_when_frames_say_nothing() -> None:
    shared = make_dataset(PixelValueTransformationSequence=[make_dataset(RescaleSlope=1, RescaleIntercept=-10)])
    dataset = make_dataset(SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=[Dataset()])
    assert to_modality_units(STORED, dataset, 0)[0, 0] == -10


@pytest.mark.parametrize(
    "dataset",
    [
        make_dataset(RescaleSlope=0, RescaleIntercept=0),
        make_dataset(ModalityLUTSequence=[make_dataset(LUTDescriptor=[300, 0, 16], LUTData=[1, 2])]),
        make_dataset(ModalityLUTSequence=[Dataset()]),
    ],
)
def test_values_are_refused_when_transformation_is_impossible(dataset: Dataset) -> None:
    with pytest.raises(DecodeError) as refusal:
        to_modality_units(STORED, dataset, 0)
    assert refusal.value.code == "pixel.corrupt"

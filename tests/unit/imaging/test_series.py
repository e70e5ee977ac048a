"""Slices of a series to one grid."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from gantry_imaging.errors import GeometryError
from gantry_imaging.series import (
    Orientation,
    Point,
    SliceHeader,
    assemble_volume,
    examine_geometry,
    sort_slices,
)

AXIAL: Orientation = (1, 0, 0, 0, 1, 0)


def make_slice(number: int, position: Point, orientation: Orientation = AXIAL, **changes: Any) -> SliceHeader:
    header = SliceHeader(
        sop_instance_uid=f"1.2.{number}",
        instance_number=number,
        frame_index=0,
        image_position_patient=position,
        image_orientation_patient=orientation,
        pixel_spacing_mm=(0.8, 0.7),
        rows=256,
        columns=512,
        frame_of_reference_uid="1.2.3",
    )
    return replace(header, **changes)


def make_stack(count: int = 10, spacing_mm: float = 2.5) -> list[SliceHeader]:
    return [make_slice(n, (-100.0, -120.0, 30.0 + spacing_mm * n)) for n in range(count)]


@given(
    euler=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing_mm=st.floats(0.3, 8),
    order=st.permutations(list(range(12))),
)
def test_grid_is_found_when_slices_come_in_any_order_and_orientation(
    euler: tuple[float, float, float], spacing_mm: float, order: list[int]
) -> None:
    axes = Rotation.from_euler("xyz", euler).as_matrix()
    orientation: Orientation = (*axes[:, 0], *axes[:, 1])
    origin = np.array([10.0, -20.0, 30.0])
    stack = [make_slice(n, tuple(np.round(origin + axes[:, 2] * spacing_mm * n, 4)), orientation) for n in range(12)]
    geometry = examine_geometry([stack[n] for n in order])
    assert [order[index] for index in geometry.order] == list(range(12))
    assert geometry.uniform
    np.testing.assert_allclose(geometry.spacing_ijk_mm, (0.7, 0.8, spacing_mm), atol=1e-3)
    np.testing.assert_allclose(
        geometry.lps_from_ijk @ [0, 0, 11, 1], [*origin + 11 * spacing_mm * axes[:, 2], 1], atol=1e-3
    )
    np.testing.assert_allclose(geometry.lps_from_ijk @ [1, 0, 0, 1], [*origin + 0.7 * axes[:, 0], 1], atol=1e-3)


def _drop_one(stack: list[SliceHeader]) -> list[SliceHeader]:
    return stack[:4] + stack[5:]


def _drop_next_to_last(stack: list[SliceHeader]) -> list[SliceHeader]:
    return stack[:-2] + stack[-1:]


def _tilt(stack: list[SliceHeader]) -> list[SliceHeader]:
    return [make_slice(n, (-100.0, -120.0 + 0.67 * n, 30.0 + 2.5 * n)) for n in range(len(stack))]


def _turn_one(stack: list[SliceHeader]) -> list[SliceHeader]:
    return [*stack[:-1], replace(stack[-1], image_orientation_patient=(1, 0, 0, 0, 0, -1))]


def _turn_one_slightly(stack: list[SliceHeader]) -> list[SliceHeader]:
    angle = np.radians(0.2)
    turned = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))
    return [*stack[:-1], replace(stack[-1], image_orientation_patient=turned)]


def _two_frames_of_reference(stack: list[SliceHeader]) -> list[SliceHeader]:
    return [*stack[:-3], *(replace(header, frame_of_reference_uid="1.2.9") for header in stack[-3:])]


def _other_spacing(stack: list[SliceHeader]) -> list[SliceHeader]:
    return [*stack[:-1], replace(stack[-1], pixel_spacing_mm=(0.8, 0.72))]


REFUSALS: dict[str, tuple[Callable[[list[SliceHeader]], list[SliceHeader]], str, str]] = {
    "one slice is missing": (_drop_one, "series.gap", "5.00 mm"),
    "the slice before the last is missing": (_drop_next_to_last, "series.gap", "5.00 mm"),
    "the gantry is tilted": (_tilt, "series.tilt", "15.00 degrees"),
    "a localizer lies among them": (_turn_one, "series.mixed_orientation", "90.00 degrees"),
    "one is turned a little": (_turn_one_slightly, "series.mixed_orientation", "0.20 degrees"),
    "frames of reference differ": (_two_frames_of_reference, "series.mixed_orientation", "2 different"),
    "sizes differ": (lambda s: [*s, replace(s[0], rows=128)], "series.mixed_size", "512 x 128, 512 x 256"),
    "pixel spacings differ": (_other_spacing, "series.mixed_size", "0.8000 mm"),
    "a position comes twice": (lambda s: [*s, s[3]], "series.duplicate_position", "1 of 11"),
    "all lie in one place": (lambda s: [s[0], s[0]], "series.duplicate_position", "1 of 2"),
    "there is one": (lambda s: s[:1], "series.too_few", "has 1"),
    "there is none": (lambda s: [], "series.too_few", "has 0"),
    "positions are missing": (
        lambda s: [*s, replace(s[0], image_position_patient=None)],
        "series.no_geometry",
        "1 of 11",
    ),
    "spacing is missing": (
        lambda s: [replace(h, pixel_spacing_mm=None) for h in s],
        "series.no_geometry",
        "10 of 10",
    ),
    "spacing is zero": (
        lambda s: [replace(h, pixel_spacing_mm=(0, 0.7)) for h in s],
        "series.no_geometry",
        "10 of 10",
    ),
    "orientation is no rotation": (
        lambda s: [replace(h, image_orientation_patient=(1, 0, 0, 0.5, 1, 0)) for h in s],
        "series.no_geometry",
        "10",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_series_is_refused_with_the_number_when(case: str) -> None:
    spoil, code, number = REFUSALS[case]
    stack = make_stack()
    assert examine_geometry(stack).uniform
    with pytest.raises(GeometryError) as refusal:
        examine_geometry(spoil(stack))
    assert refusal.value.code == code
    assert number in str(refusal.value)


def test_gap_and_tilt_are_both_named_when_both_are_there() -> None:
    with pytest.raises(GeometryError, match=r"distance between slices.*tilted by 15.00 degrees"):
        examine_geometry(_drop_one(_tilt(make_stack())))


def test_series_is_accepted_when_positions_are_only_rounded() -> None:
    stack = [make_slice(n, (0, 0, round(1.25 * n, 1))) for n in range(200)]
    geometry = examine_geometry(stack)
    assert geometry.spacing_ijk_mm[2] == pytest.approx(1.25, abs=0.001)
    assert not geometry.uniform


def test_series_is_refused_when_small_errors_add_up() -> None:
    # Each step is within 2 % of the one before, yet the last slices lie whole steps away from an even grid.
    positions = np.cumsum(2.0 * 1.004 ** np.arange(200))
    with pytest.raises(GeometryError) as refusal:
        examine_geometry([make_slice(n, (0, 0, float(z))) for n, z in enumerate(positions)])
    assert refusal.value.code == "series.gap"


def test_series_is_accepted_when_every_slice_has_its_own_frame_of_reference() -> None:
    stack = [replace(header, frame_of_reference_uid=f"1.2.{n}") for n, header in enumerate(make_stack())]
    assert examine_geometry(stack).order == tuple(range(10))


def test_slices_are_sorted_by_position_when_numbers_run_the_other_way() -> None:
    stack = [replace(header, instance_number=100 - n) for n, header in enumerate(make_stack())]
    assert sort_slices(stack[::-1]) == stack


def test_slices_are_sorted_by_number_when_a_position_is_missing() -> None:
    stack = make_stack()
    stack[5] = replace(stack[5], image_position_patient=None)
    unnumbered = replace(stack[0], instance_number=None)
    assert sort_slices([unnumbered, *stack[::-1]]) == [*stack, unnumbered]


def test_slices_of_one_orientation_stay_together_when_orientations_mix() -> None:
    axial = make_stack(4)
    coronal = [make_slice(50 + n, (0, 3.0 * n, 0), (1, 0, 0, 0, 0, -1)) for n in range(4)]
    mixed = [axial[2], coronal[1], axial[0], coronal[3], axial[3], coronal[0], axial[1], coronal[2]]
    assert sort_slices(mixed) == axial + coronal


def test_volume_is_filled_in_order_when_frames_come_from_anywhere() -> None:
    stack = make_stack(5)
    shuffled = [stack[n] for n in (3, 0, 4, 1, 2)]
    seen: list[tuple[int, int]] = []

    def frame(index: int) -> NDArray[np.int16]:
        assert shuffled[index].instance_number is not None
        return np.full((256, 512), shuffled[index].instance_number, np.int16)

    volume = assemble_volume(shuffled, frame, on_progress=lambda done, total: seen.append((done, total)))
    assert volume.voxels_kji[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert volume.voxels_kji.dtype == np.int16
    assert seen == [(n, 5) for n in range(1, 6)]


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        (np.float32(-1000.6), -1001),
        (np.float32(70000.0), 32767),
        (np.int32(-40000), -32768),
        (np.uint16(65535), 32767),
    ],
)
def test_values_are_rounded_and_saturated_when_volume_is_int16(plane: np.generic, expected: int) -> None:
    volume = assemble_volume(make_stack(2), lambda index: np.full((256, 512), plane))
    assert volume.voxels_kji[0, 0, 0] == expected


def test_values_stay_fractions_when_volume_is_float32() -> None:
    volume = assemble_volume(make_stack(2), lambda index: np.full((256, 512), 0.25), dtype=np.float32)
    assert volume.voxels_kji[0, 0, 0] == 0.25


def test_volume_is_refused_when_a_frame_is_smaller_than_its_header() -> None:
    with pytest.raises(GeometryError) as refusal:
        assemble_volume(make_stack(2), lambda index: np.zeros((256, 511)))
    assert refusal.value.code == "series.mixed_size"

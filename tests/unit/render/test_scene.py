"""View states that cannot be drawn are refused by name; presets are what they say."""

from dataclasses import replace

import numpy as np
import pytest

from gantry_imaging.volume import Volume
from gantry_render.engine.transfer import LEVELS, build_tables, visible_intervals
from gantry_render.errors import SceneError
from gantry_render.presets import PRESETS, Blend, Preset, get_preset
from gantry_render.protocol import SlabMode
from gantry_render.scene import Camera, CropBox, LabelOverlay, Plane, Scene, SurfaceMesh, Tier

CAMERA = Camera((0.0, -100.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), parallel_scale_mm=50.0)
POINTS = np.zeros((3, 3), np.float32)
TRIANGLE = np.array([[0, 1, 2]], np.int32)


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("scene.bad_camera", lambda: replace(CAMERA, focal_point_lps_mm=CAMERA.position_lps_mm)),
        ("scene.bad_camera", lambda: replace(CAMERA, view_up_lps=(0.0, 1.0, 0.0))),
        ("scene.bad_camera", lambda: replace(CAMERA, parallel_scale_mm=0.0)),
        ("scene.bad_camera", lambda: replace(CAMERA, position_lps_mm=(float("nan"), 0.0, 0.0))),
        ("scene.bad_crop", lambda: CropBox((0.0, 0.0, 5.0), (4.0, 4.0, 5.0))),
        ("scene.bad_overlay", lambda: LabelOverlay(np.zeros((2, 2, 2), np.uint8), {0: (1.0, 0.0, 0.0, 1.0)})),
        ("scene.bad_mesh", lambda: SurfaceMesh(POINTS, TRIANGLE + 1, (1.0, 0.0, 0.0, 1.0))),
        ("scene.bad_size", lambda: Scene(CAMERA, 4097, 16, PRESETS["CT-Bone"])),
        ("scene.bad_shift", lambda: Scene(CAMERA, 16, 16, PRESETS["CT-Bone"], window_shift=float("inf"))),
        ("scene.bad_plane", lambda: Plane((0, 0, 0), (1, 0, 0), (1, 0, 0), (1, 1), 4, 4)),
        ("scene.unknown_preset", lambda: get_preset("CT-Nothing")),
    ],
)
def test_scene_is_refused_when_it_shows_nothing(code: str, make: object) -> None:
    with pytest.raises(SceneError) as refused:
        make()  # type: ignore[operator]  # each row is a function
    assert refused.value.code == code


def test_camera_axes_are_right_handed_when_up_is_slanted() -> None:
    right, up, forward = replace(CAMERA, view_up_lps=(0.3, 0.5, 1.0)).axes_lps
    assert np.allclose(np.cross(right, up), -forward)
    assert np.allclose(forward, (0, 1, 0))
    # Looking from the front, the patient's left is at the right.
    assert CAMERA.axes_lps[0] @ (1, 0, 0) == pytest.approx(1.0)


def test_frame_is_half_as_large_when_moving() -> None:
    scene = Scene(CAMERA, 511, 300, PRESETS["CT-Bone"])
    assert scene.frame_size == (511, 300)
    assert replace(scene, tier=Tier.MOTION).frame_size == (256, 150)


def test_whole_volume_is_in_view_when_looked_at() -> None:
    volume = Volume(np.zeros((10, 20, 30), np.int16), np.diag([2.0, 1.0, 3.0, 1.0]))
    camera = Camera.looking_at(volume, (1.0, 2.0, -0.5), (0.0, 0.0, 1.0))
    corners = np.array([[i, j, k] for i in (-0.5, 29.5) for j in (-0.5, 19.5) for k in (-0.5, 9.5)]) * [2.0, 1.0, 3.0]
    seen = (corners - camera.position_lps_mm) @ camera.axes_lps.T
    assert camera.parallel_scale_mm is not None
    assert np.abs(seen[:, :2]).max() <= camera.parallel_scale_mm
    assert seen[:, 2].min() > 0


def test_layers_are_symmetric_and_close_enough_when_slab_is_uneven() -> None:
    plane = Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1), 4, 4, slab_mm=7.0, mode=SlabMode.MIP, layer_mm=2.0)
    assert plane.layer_offsets_mm.tolist() == pytest.approx([-3.5, -1.75, 0.0, 1.75, 3.5])
    assert replace(plane, mode=SlabMode.NONE).layer_offsets_mm.tolist() == [0.0]


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_ascending_and_in_range_when_published(name: str) -> None:
    preset = get_preset(name)
    for points in (preset.opacity, preset.colour):
        values = [point[0] for point in points]
        assert values == sorted(set(values))
        assert all(0 <= part <= 1 for point in points for part in point[1:])
    if preset.blend is Blend.COMPOSITE:
        # Air and background must not hide what lies behind them.
        assert preset.opacity[0][1] == 0
    if preset.shading is not None:
        assert preset.shading.ambient + preset.shading.diffuse == pytest.approx(1.0)
    if preset.relative:
        assert preset.scaled(100.0, 300.0, 7.0).opacity[0][0] == pytest.approx(107 + 200 * preset.opacity[0][0])


def test_visible_values_are_found_when_opacity_has_a_hole() -> None:
    preset = Preset(((0, 0), (10, 1), (20, 0), (30, 0), (40, 0.5)), ((0, 1, 1, 1),))
    assert visible_intervals(preset).tolist() == [[0, 20], [30, np.inf]]
    assert visible_intervals(Preset(((0, 0.0),), ((0, 1, 1, 1),))).shape == (0, 2)


def test_step_is_as_opaque_as_its_parts_when_integrated() -> None:
    preset = Preset(((0, 0.5), (100, 0.5)), ((0, 1.0, 0.5, 0.25),))
    tables = build_tables(preset, 2.0, 0.0, 100.0)
    # 1 mm lets half of the light through: 2 mm a quarter.
    assert np.allclose(tables.alpha, 0.75, atol=1e-4)
    assert np.allclose(tables.light[..., :3], [0.75, 0.375, 0.1875], atol=1e-4)


def test_steps_back_and_forth_are_equally_opaque_when_crossing_a_threshold() -> None:
    preset = Preset(((0, 0.0), (1, 0.8), (100, 0.8)), ((0, 1, 1, 1),))
    tables = build_tables(preset, 1.0, 0.0, 100.0)
    assert np.allclose(tables.alpha, tables.alpha.T, atol=1e-5)
    level = int((0 - tables.low) * tables.scale)
    assert tables.alpha[level - 2, level - 5] == 0
    # A sixth of the table lies below the threshold: the middle of the opacity moves with the side it is crossed from.
    assert tables.light[LEVELS - 1, 0, 3] - tables.light[0, LEVELS - 1, 3] == pytest.approx(1 / 6, abs=0.02)

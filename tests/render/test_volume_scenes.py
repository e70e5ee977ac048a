"""What the ray caster draws of bodies whose picture is known."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_render.engine.bricks import halve
from gantry_render.engine.cpu import CpuEngine, CpuVolume
from gantry_render.engine.jit import core_count
from gantry_render.errors import EngineError, FrameCancelledError, SceneError
from gantry_render.presets import PRESETS, Preset, Shading
from gantry_render.scene import Camera, CropBox, LabelOverlay, Scene, SurfaceMesh, Tier

SIDE = 96
# Nothing below 500, opaque at once above; white, unlit where only shape counts.
HARD = Preset(((500, 0.0), (501, 0.999)), ((0, 1, 1, 1),), shading=None)
LIT = replace(HARD, shading=Shading(ambient=0.2, diffuse=0.8, specular=0.0, light=(0, 0, 1)))
FRONT = Camera((0, -200, 0), (0, 0, 0), (0, 0, 1), parallel_scale_mm=40.0)


def field(spacing: tuple[float, float, float], values: Callable[..., NDArray[np.float64]]) -> Volume:
    """Sample a function of (x, y, z) in millimetres on a grid around the origin."""
    shape = [round(64 / step) + 1 for step in spacing]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-step * (count - 1) / 2 for step, count in zip(spacing, shape, strict=True)]
    i, j, k = (
        np.arange(count) * step + start for count, step, start in zip(shape, spacing, affine[:3, 3], strict=True)
    )
    voxels = values(i[None, None, :], j[None, :, None], k[:, None, None])
    return Volume(np.rint(voxels).astype(np.int16), affine)


def ball(radius: float, at: tuple[float, float, float] = (0, 0, 0)) -> Callable[..., NDArray[np.float64]]:
    """Return a field that is 500 at `radius` and falls by 100 a millimetre."""

    def values(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2)
        return np.clip(500 + 100 * (radius - distance), -1000, 2000)

    return values


def turned(volume: Volume, camera: Camera, seed: int) -> tuple[Volume, Camera]:
    """Move volume and camera together, any way."""
    rng = np.random.default_rng(seed)
    rotation: NDArray[np.float64]
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = rotation, rng.uniform(-300, 300, 3)

    def move(point: tuple[float, float, float], weight: float) -> tuple[float, float, float]:
        x, y, z = (rigid @ np.array([*point, weight]))[:3]
        return float(x), float(y), float(z)

    moved = Camera(
        move(camera.position_lps_mm, 1),
        move(camera.focal_point_lps_mm, 1),
        move(camera.view_up_lps, 0),
        camera.parallel_scale_mm,
        camera.view_angle_deg,
    )
    return Volume(volume.voxels_kji, rigid @ volume.lps_from_ijk), moved


def scene(camera: Camera = FRONT, preset: Preset = HARD, **more: object) -> Scene:
    return Scene(camera, 160, 160, preset, **more)  # type: ignore[arg-type]  # a scene's other fields


def load(volume: Volume) -> CpuVolume:
    return CpuEngine().load(volume)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.1, 2.5)])
def test_silhouette_and_depth_are_a_balls_when_it_is_anisotropic(spacing: tuple[float, float, float]) -> None:
    picture = load(field(spacing, ball(20))).render(scene())
    assert picture.depth_mm is not None
    seen = np.isfinite(picture.depth_mm)
    pixel_mm = 80 / 160
    assert seen.sum() * pixel_mm**2 == pytest.approx(np.pi * 20**2, rel=0.03)
    rows, columns = np.indices((160, 160))
    across = (columns + 0.5 - 80) * pixel_mm
    up = (80 - rows - 0.5) * pixel_mm
    inner = across**2 + up**2 < 15**2
    expected = 200 - np.sqrt(20**2 - across[inner] ** 2 - up[inner] ** 2)
    assert np.abs(picture.depth_mm[inner] - expected).max() < 0.5 * max(spacing) + 0.5
    assert np.abs(picture.depth_mm[inner] - expected).mean() < 0.5


def test_light_falls_as_the_cosine_when_a_ball_is_shaded() -> None:
    picture = load(field((0.7, 0.7, 1.4), ball(20))).render(scene(preset=LIT))
    rows, columns = np.indices((160, 160))
    across, up = (columns + 0.5 - 80) * 0.5, (80 - rows - 0.5) * 0.5
    inner = across**2 + up**2 < 16**2
    cosine = np.sqrt(1 - (across[inner] ** 2 + up[inner] ** 2) / 20**2)
    assert np.abs(picture.rgb[inner, 0] / 255 - (0.2 + 0.8 * cosine)).max() < 0.03


def test_picture_is_symmetric_when_the_body_is() -> None:
    rgb = load(field((1.0, 1.0, 2.0), ball(22))).render(scene(preset=LIT)).rgb.astype(int)
    rows, columns = np.indices((160, 160))
    # On the rim a ray grazes the body: rounding decides whether it is met.
    inner = np.hypot(columns + 0.5 - 80, rows + 0.5 - 80) * 0.5 < 21
    for mirrored in (rgb[:, ::-1], rgb[::-1]):
        difference = np.abs(rgb - mirrored).max(axis=2)
        assert difference[inner].max() <= 2
        assert (difference > 2).mean() < 5e-4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("preset", ["CT-Bone", "CT-Soft-Tissue", "CT-MIP"])
def test_picture_stays_when_volume_and_camera_turn_together(seed: int, parallel: bool, preset: str) -> None:
    volume = field((0.9, 0.8, 1.7), lambda x, y, z: ball(18, (6, 0, 4))(x, y, z) + ball(6, (-18, -9, 5))(x, y, z) + 500)
    camera = replace(FRONT, position_lps_mm=(60, -190, 40), parallel_scale_mm=40.0 if parallel else None)
    drawn = load(volume).render(scene(camera, PRESETS[preset])).rgb.astype(int)
    moved, eye = turned(volume, camera, seed)
    again = load(moved).render(scene(eye, PRESETS[preset])).rgb.astype(int)
    assert drawn.max() > 100
    assert np.abs(drawn - again).mean() < 0.1
    assert (np.abs(drawn - again).max(axis=2) > 8).mean() < 2e-3


def test_picture_is_the_same_when_the_grid_is_left_handed() -> None:
    volume = field((1.0, 1.0, 1.5), lambda x, y, z: ball(15, (10, 3, -6))(x, y, z))
    flipped = volume.lps_from_ijk.copy()
    flipped[:3, 3] += flipped[:3, 2] * (volume.shape_kji[0] - 1)
    flipped[:3, 2] *= -1
    mirrored = Volume(volume.voxels_kji[::-1], flipped)
    assert np.linalg.det(mirrored.lps_from_ijk) < 0
    first, second = (load(each).render(scene(preset=LIT)).rgb.astype(int) for each in (volume, mirrored))
    assert np.abs(first - second).max() <= 3


def test_highest_and_lowest_values_are_exact_when_rays_run_along_voxels() -> None:
    voxels = np.random.default_rng(0).integers(-1000, 2000, (40, 48, 56)).astype(np.int16)
    volume = Volume(voxels, np.eye(4))
    camera = Camera((27.5, -100, 19.5), (27.5, 0, 19.5), (0, 0, 1), parallel_scale_mm=20.0)
    exact = Scene(camera, 56, 40, PRESETS["CT-MIP"])
    loaded = load(volume)
    # A step of 0.6 voxels misses voxels' centres by up to 0.3: bounds are sharp, the maximum itself is not passed.
    highest, lowest = loaded.project(exact, 1), loaded.project(exact, -1)
    assert (highest <= voxels.max(axis=1)[::-1] + 4).all()
    assert (lowest >= voxels.min(axis=1)[::-1] - 4).all()
    constant = np.broadcast_to(voxels[:, :1, :], voxels.shape)
    along = load(Volume(np.ascontiguousarray(constant), np.eye(4)))
    # Near the far faces samples keep a thousandth of a voxel's distance.
    assert np.abs(along.project(exact, 1) - voxels[::-1, 0, :]).max() < 4
    assert np.abs(along.project(exact, -1) - voxels[::-1, 0, :]).max() < 4


def test_airway_shows_through_the_body_when_air_around_it_does_not_count() -> None:
    def body(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        around, along = np.hypot(x, y), 0 * z
        return np.where(around + along < 22, 40, -1000) - np.where(np.hypot(x - 6, y) + along < 5, 1000, 0)

    loaded = load(field((1.0, 1.0, 1.0), body))
    picture = loaded.render(scene(preset=PRESETS["CT-MinIP"])).rgb[80].astype(int)[:, 0]
    airway, tissue, outside = picture[80 + 12], picture[80 - 24], picture[4]
    assert airway < 45
    assert tissue > 240
    assert outside == 0
    values = loaded.project(scene(), -1, enclosed_by=-300.0)
    assert np.isnan(values[80, 4])
    assert values[80, 80 + 12] == pytest.approx(-960, abs=1)
    assert values[80, 80 - 24] >= -300
    # Without walls the air before the body is the darkest everywhere.
    assert loaded.project(scene(), -1)[80, 80 - 24] == pytest.approx(-1000, abs=1)


def test_only_what_is_inside_shows_when_cropped() -> None:
    volume = field((1.0, 1.0, 1.0), ball(25))
    loaded = load(volume)
    middle = (np.array(volume.shape_kji[::-1]) - 1) / 2
    # The left half, in front, upper quarter.
    crop = CropBox((float(middle[0]), 0.0, float(middle[2])), (1e3, float(middle[1]), 1e3))
    picture = loaded.render(scene(crop=crop))
    assert picture.depth_mm is not None
    seen = np.isfinite(picture.depth_mm)
    assert not seen[:, :79].any()
    assert not seen[81:].any()
    assert seen[:80, 80:].sum() * 0.25 == pytest.approx(np.pi * 25**2 / 4, rel=0.04)
    outside = CropBox((-50.0, -50.0, -50.0), (-40.0, -40.0, -40.0))
    assert not np.isfinite(loaded.render(scene(crop=outside)).depth_mm).any()  # type: ignore[arg-type]  # told above


def test_cut_face_is_flat_and_lit_when_tissue_is_cropped() -> None:
    noisy = np.random.default_rng(0).normal(1200, 60, (64, 64, 64)).astype(np.int16)
    picture = load(Volume(noisy, np.eye(4))).render(
        scene(replace(FRONT, position_lps_mm=(31, -200, 31), focal_point_lps_mm=(31, 0, 31)), LIT)
    )
    middle = picture.rgb[60:100, 60:100, 0]
    assert middle.min() > 245


def test_background_alone_is_drawn_when_nothing_is_visible() -> None:
    empty = Volume(np.full((20, 20, 20), -1000, np.int16), np.eye(4))
    for preset in ("CT-Bone", "CT-Soft-Tissue", "MR-Default", "PET-Hot"):
        picture = load(empty).render(scene(preset=PRESETS[preset], background=(10, 20, 30)))
        assert (picture.rgb == (10, 20, 30)).all()
        assert picture.depth_mm is not None
        assert np.isinf(picture.depth_mm).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 40), (3, 2, 50), (17, 16, 16)])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("tier", Tier)
def test_picture_is_drawn_when_the_volume_is_thin(shape: tuple[int, int, int], preset: str, tier: Tier) -> None:
    voxels = np.random.default_rng(1).integers(-1000, 2000, shape).astype(np.int16)
    camera = Camera((60, -80, 50), (20, 20, 1), (0, 0, 1))
    picture = load(Volume(voxels, np.eye(4))).render(Scene(camera, 33, 21, PRESETS[preset], tier=tier))
    assert picture.rgb.shape == ((21, 33, 3) if tier is Tier.SETTLED else (11, 17, 3))
    assert picture.depth_mm is not None
    assert not np.isnan(picture.depth_mm).any()


def test_other_number_types_look_the_same_when_loaded() -> None:
    volume = field((1.0, 1.0, 1.0), ball(20))
    drawn = load(volume).render(scene(preset=LIT)).rgb.astype(int)
    for voxels in (volume.voxels_kji.astype(np.float32), volume.voxels_kji.astype(np.int32)):
        again = load(volume.with_voxels(voxels)).render(scene(preset=LIT)).rgb.astype(int)
        assert np.abs(drawn - again).max() <= 2
    shifted = load(volume.with_voxels(volume.voxels_kji.astype(np.float32) * 1e-4)).render(
        scene(preset=replace(LIT, opacity=((0.05, 0.0), (0.0501, 0.999)), colour=((0.0, 1, 1, 1),)))
    )
    assert np.abs(drawn - shifted.rgb).mean() < 0.5
    holes = volume.voxels_kji.astype(np.float32)
    holes[:3] = np.nan
    assert np.abs(drawn - load(volume.with_voxels(holes)).render(scene(preset=LIT)).rgb).mean() < 0.5


def test_moving_frame_looks_like_the_settled_when_enlarged() -> None:
    loaded = load(field((0.9, 0.9, 0.9), ball(20, (3, 5, -4))))
    settled = loaded.render(scene(preset=LIT)).rgb.astype(int)
    moving = loaded.render(scene(preset=LIT, tier=Tier.MOTION)).rgb.astype(int)
    halved = settled.reshape(80, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(moving - halved).mean() < 3
    # Not moved sideways either: the half-resolution grid lies where the whole one does.
    columns = np.arange(80)
    assert (moving[..., 0].sum(0) @ columns) / moving[..., 0].sum() == pytest.approx(
        (halved[..., 0].sum(0) @ columns) / halved[..., 0].sum(), abs=0.1
    )


def test_window_moves_the_threshold_when_shifted() -> None:
    loaded = load(field((1.0, 1.0, 1.0), ball(20)))
    areas = [np.isfinite(loaded.render(scene(window_shift=s)).depth_mm).sum() * 0.25 for s in (-500, 0, 500)]  # type: ignore[arg-type]
    assert areas == pytest.approx([np.pi * r**2 for r in (25, 20, 15)], rel=0.04)


def test_threshold_spreads_around_the_middle_when_the_window_is_widened() -> None:
    loaded = load(field((1.0, 1.0, 1.0), ball(20)))
    ramp = replace(HARD, opacity=((400, 0.0), (500, 0.0), (501, 0.999), (601, 0.999), (602, 0.0), (702, 0.0)))
    assert ramp.middle == pytest.approx(551)
    # The shell begins 51 below the middle, and half as far below when the window is half as wide.
    for scale, radius in ((1.0, 20.0), (0.5, 19.745), (4.0, 21.53)):
        scaled = loaded.render(scene(preset=ramp, window_scale=scale))
        area = np.isfinite(scaled.depth_mm).sum() * 0.25  # type: ignore[arg-type]  # the engine tells
        assert area == pytest.approx(np.pi * radius**2, rel=0.01)
    shifted = loaded.render(scene(preset=ramp, window_scale=4.0, window_shift=-300.0)).depth_mm
    assert np.isfinite(shifted).sum() * 0.25 == pytest.approx(np.pi * 24.5**2, rel=0.02)  # type: ignore[arg-type]
    for bad in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(SceneError) as refused:
            scene(window_scale=bad)
        assert refused.value.code == "scene.bad_scale"


@pytest.mark.parametrize("preset", ["CT-Bone", "CT-MIP"])
def test_drawing_stops_when_the_frame_is_cancelled(preset: str) -> None:
    loaded = load(field((1.0, 1.0, 1.0), ball(20)))
    asked = []

    def is_stale() -> bool:
        asked.append(threading.get_ident())
        return len(asked) > 3

    with pytest.raises(FrameCancelledError) as given_up:
        loaded.render(scene(preset=PRESETS[preset]), is_stale)
    assert given_up.value.code == "engine.cancelled"
    # Each core asks once more at most.
    assert len(asked) <= 4 + core_count()
    assert loaded.render(scene(preset=PRESETS[preset]), lambda: False).rgb.max() > 100
    loaded.close()


def test_given_half_is_used_where_it_lies_when_it_fits() -> None:
    volume = field((1.0, 1.0, 1.0), ball(20, (3, 0, 2)))
    half = halve(np.ascontiguousarray(volume.voxels_kji))
    given = CpuEngine().load(volume, half)
    moving = scene(preset=LIT, tier=Tier.MOTION)
    assert np.array_equal(given.render(moving).rgb, load(volume).render(moving).rgb)
    given.close()
    assert half.max() > 0
    other = CpuEngine().load(volume, half[1:])
    assert np.array_equal(other.render(moving).rgb, load(volume).render(moving).rgb)


def quad(y: float, colour: tuple[float, float, float, float], half: float = 30.0) -> SurfaceMesh:
    """Return a square that faces the front, at depth 200 + y."""
    corners = np.array([[-half, y, -half], [half, y, -half], [half, y, half], [-half, y, half]], np.float32)
    return SurfaceMesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), colour)


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("y", [-40.0, -10.0, 10.0, 40.0])
def test_mesh_hides_and_is_hidden_when_depths_differ(parallel: bool, y: float) -> None:
    camera = replace(FRONT, parallel_scale_mm=40.0 if parallel else None)
    picture = load(field((1.0, 1.0, 1.0), ball(20))).render(scene(camera, meshes=[quad(y, (1, 0, 0, 1))]))
    assert picture.depth_mm is not None
    middle, corner = picture.rgb[80, 80].astype(int), picture.rgb[45, 45].astype(int)
    assert corner[0] > 100
    assert corner[1] < 60
    # The ball is white and reaches from -20 to 20.
    is_red = middle[1] < 60
    assert is_red == (y < -20)
    assert picture.depth_mm[80, 80] == pytest.approx(200 + min(y, -20), abs=1.0)
    assert picture.depth_mm[45, 45] == pytest.approx(200 + y, abs=0.05)
    if y == -10.0:
        # The plane cuts the ball: around the middle the ball stands before it, within sqrt(20² - 10²) of the axis.
        white = (picture.rgb[80].astype(int)[:, 1] > 200).sum()
        scale_mm = 80 / 160 if parallel else 2 * 190 * np.tan(np.radians(15)) / 160
        assert white * scale_mm == pytest.approx(2 * np.sqrt(300), rel=0.06)


def test_nearer_mesh_wins_when_meshes_overlap() -> None:
    empty = load(Volume(np.full((8, 8, 8), -1000, np.int16), np.eye(4)))
    red, green = quad(-10, (1, 0, 0, 1)), quad(5, (0, 1, 0, 1))
    for order in ([red, green], [green, red]):
        middle = empty.render(scene(meshes=order)).rgb[80, 80]
        assert middle[0] > 150
        assert middle[1] < 90


def test_tissue_shines_through_when_the_mesh_is_translucent() -> None:
    loaded = load(field((1.0, 1.0, 1.0), ball(20)))
    shown = [loaded.render(scene(meshes=[quad(-40, (1, 0, 0, a))])).rgb[80, 80, 1] for a in (0.0, 0.4, 0.8, 1.0)]
    assert shown[0] == 255
    assert shown[1] == pytest.approx(0.6 * 255, abs=30)
    assert sorted(shown, reverse=True) == shown


def test_flat_and_smooth_meshes_differ_when_facets_are_large() -> None:
    from gantry_inference.meshes import build_mesh

    mask = np.linalg.norm(np.indices((16, 16, 16)) - 7.5, axis=0) < 6
    mesh = build_mesh(mask, Volume(mask.astype(np.uint8), np.diag([3.0, 3.0, 3.0, 1.0])), max_triangles=120)
    empty = load(Volume(np.full((8, 8, 8), -1000, np.int16), np.eye(4)))
    camera = Camera((22, -200, 22), (22, 0, 22), (0, 0, 1), parallel_scale_mm=24)
    smooth, flat = (
        empty.render(
            scene(camera, LIT, meshes=[SurfaceMesh(mesh.vertices_lps_mm, mesh.triangles, (0, 0, 1, 1), smooth=s)])
        )
        for s in (True, False)
    )
    assert len(np.unique(flat.rgb[..., 2])) < len(np.unique(smooth.rgb[..., 2]))
    assert np.array_equal(np.isfinite(flat.depth_mm), np.isfinite(smooth.depth_mm))  # type: ignore[arg-type]
    assert np.isfinite(flat.depth_mm).sum() * (48 / 160) ** 2 == pytest.approx(np.pi * 18**2, rel=0.12)  # type: ignore[arg-type]


def test_segment_is_coloured_where_it_lies_when_shown() -> None:
    volume = field((1.0, 1.0, 1.0), lambda x, y, z: 0 * (x + y + z) - 1000)
    k, j, i = np.indices(volume.shape_kji)
    labels = np.zeros(volume.shape_kji, np.uint8)
    labels[(i - 42) ** 2 + (j - 32) ** 2 + (k - 32) ** 2 < 12**2] = 3
    labels[:, :, :12] = 7
    overlay = LabelOverlay(labels, {3: (1.0, 0.1, 0.1, 1.0)})
    picture = load(volume).render(scene(overlay=overlay))
    red = (picture.rgb[..., 0] > 80) & (picture.rgb[..., 1] < 90)
    assert red.sum() * 0.25 == pytest.approx(np.pi * 12**2, rel=0.06)
    columns = np.arange(160)
    assert (red.sum(0) @ columns) / red.sum() == pytest.approx(80 + 10 / 0.5 - 0.5, abs=0.6)
    # Label 7 has no colour: it is not shown.
    assert picture.rgb[:, :50].max() == 0
    moving = load(volume).render(scene(overlay=overlay, tier=Tier.MOTION))
    assert (moving.rgb[..., 0] > 80).sum() == pytest.approx((picture.rgb[..., 0] > 80).sum() / 4, rel=0.15)
    with pytest.raises(SceneError) as refused:
        load(volume).render(scene(overlay=LabelOverlay(labels[1:], overlay.colours)))
    assert refused.value.code == "scene.bad_overlay"


def test_pictures_do_not_mix_when_drawn_at_once() -> None:
    loaded = load(field((1.0, 1.0, 1.0), ball(20, (6, 0, 0))))
    cameras = [replace(FRONT, position_lps_mm=(200 * np.sin(a), -200 * np.cos(a), 0)) for a in np.arange(8.0)]
    alone = [loaded.render(scene(camera, LIT)).rgb for camera in cameras]
    together: list[NDArray[np.uint8] | None] = [None] * len(cameras)

    def draw(number: int) -> None:
        together[number] = loaded.render(scene(cameras[number], LIT)).rgb

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(len(cameras))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))  # type: ignore[arg-type]


def test_copies_are_overwritten_when_closed() -> None:
    volume = field((1.0, 1.0, 1.0), ball(20))
    loaded = load(volume.with_voxels(volume.voxels_kji.astype(np.float32)))
    copied = [grid.voxels for grid in loaded._grids.values()]
    assert all(voxels.any() for voxels in copied)
    loaded.close()
    assert not any(voxels.any() for voxels in copied)
    with pytest.raises(EngineError) as refused:
        loaded.render(scene())
    assert refused.value.code == "engine.closed"
    owned = load(volume)
    owned.close()
    assert volume.voxels_kji.max() > 0


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_memory_is_predicted_when_many_views_were_drawn(dtype: type) -> None:
    voxels: NDArray[Any] = np.zeros((120, 130, 140), dtype)
    loaded = load(Volume(voxels, np.eye(4)))
    for shift in range(10):
        loaded.render(scene(preset=PRESETS["CT-Bone"], window_shift=float(shift)))
    predicted = CpuEngine().predicted_bytes((120, 130, 140), np.dtype(dtype).itemsize)
    assert 0.3 * predicted < loaded.size_bytes <= predicted

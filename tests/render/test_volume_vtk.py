"""Our pictures against VTK's: its own ray caster, and its graphics mapper through EGL as our second engine."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gantry_imaging.volume import Volume
from gantry_inference.phantoms import ScannerProfile, generate_pelvis
from gantry_render.engine.choose import choose_engine
from gantry_render.engine.cpu import CpuEngine
from gantry_render.engine.vtk_gpu import VtkGpuEngine, describe_renderer
from gantry_render.errors import EngineError
from gantry_render.presets import PRESETS, Preset, Shading, get_preset
from gantry_render.scene import Camera, CropBox, LabelOverlay, Scene, SurfaceMesh
from render_reference import FixedPoint, draw_reference, object_ssim

HEADLIGHT = replace(get_preset("CT-Bone"), shading=Shading(0.22, 0.78, 0.0, 1.0, (0.0, 0.0, 1.0)))


@pytest.fixture(scope="module")
def egl() -> str:
    renderer = describe_renderer()
    if renderer is None:
        pytest.skip("EGL offers no OpenGL on this machine, not even Mesa's.")
    return renderer


@pytest.fixture(scope="module")
def pelvis() -> Volume:
    calm = ScannerProfile(noise_hu=8.0, streaks=0.0, sharpness_mm=1.4)
    return generate_pelvis(5, shape_kji=(64, 128, 128), spacing_ijk_mm=(3.2, 3.2, 3.9), scanner=calm).volume


def view(volume: Volume, preset: Preset = HEADLIGHT, **more: object) -> Scene:
    camera = Camera.looking_at(volume, (0.4, 1.0, 0.1), (0, 0, 1), zoom=1.4)
    return Scene(camera, 160, 160, preset, **more)  # type: ignore[arg-type]  # a scene's other fields


def test_bone_looks_as_in_tiny_steps_when_drawn_by_us(pelvis: Volume) -> None:
    scene = view(pelvis)
    reference, mask = draw_reference(pelvis, scene, step_mm=0.25)
    assert 0.05 < mask.mean() < 0.9
    assert object_ssim(CpuEngine().load(pelvis).render(scene).rgb, reference, mask) > 0.85


def test_bone_is_nearer_to_tiny_steps_than_vtk_when_both_draw_it(pelvis: Volume, egl: str) -> None:
    scene = view(pelvis)
    reference, mask = draw_reference(pelvis, scene, step_mm=0.25)
    vtk = FixedPoint(pelvis)
    vtk.prepare(scene)
    vtk.draw()
    theirs = vtk.grab()
    ours = CpuEngine().load(pelvis).render(scene).rgb
    # The same body in the same place, in both.
    assert object_ssim(ours, theirs, mask) > 0.5
    covered = [picture.max(axis=2) > 40 for picture in (ours, theirs)]
    assert (covered[0] & covered[1]).sum() / (covered[0] | covered[1]).sum() > 0.85
    assert object_ssim(ours, reference, mask) > object_ssim(theirs, reference, mask)


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[float, float]:
    """Return overlap of what is drawn and mean difference over both, 0 to 255."""
    drawn = [picture.max(axis=2) > 40 for picture in (one, other)]
    either = drawn[0] | drawn[1]
    difference = np.abs(one.astype(int) - other.astype(int)).mean(axis=2)[either].mean()
    return float((drawn[0] & drawn[1]).sum() / either.sum()), float(difference)


def square(volume: Volume) -> SurfaceMesh:
    """Return a square that cuts through the middle of the body."""
    x, y, z = volume.lps_from_ijk[:3] @ [63.5, 63.5, 31.5, 1.0]
    corners = np.array([[x - 90, y, z - 40], [x + 90, y, z - 40], [x + 90, y, z + 40], [x - 90, y, z + 40]], np.float32)
    return SurfaceMesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), (0.1, 0.4, 1.0, 1.0))


@pytest.mark.parametrize("case", ["whole", "perspective", "cropped", "mesh", "mip", "turned"])
def test_both_engines_show_the_same_when_the_scene_is_the_same(pelvis: Volume, egl: str, case: str) -> None:
    volume = pelvis
    if case == "turned":
        affine = pelvis.lps_from_ijk.copy()
        rotation, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))
        affine[:3, :3] = rotation @ affine[:3, :3]
        volume = Volume(pelvis.voxels_kji, affine)
    scene = view(volume)
    if case == "perspective":
        scene = replace(scene, camera=replace(scene.camera, parallel_scale_mm=None))
    if case == "cropped":
        scene = replace(scene, crop=CropBox((0.0, 0.0, 0.0), (127.0, 127.0, 30.0)))
    if case == "mesh":
        scene = replace(scene, meshes=[square(volume)])
    if case == "mip":
        scene = replace(scene, preset=PRESETS["CT-MIP"])
    ours = CpuEngine().load(volume).render(scene).rgb
    graphics = VtkGpuEngine().load(volume)
    theirs = graphics.render(scene).rgb
    graphics.close()
    overlap, difference = likeness(ours, theirs)
    assert overlap > 0.93
    assert difference < 22


def test_segments_are_coloured_when_graphics_draw_them(pelvis: Volume, egl: str) -> None:
    labels = (pelvis.voxels_kji > 200).astype(np.uint8)
    labels[:, :, :64] = 0
    graphics = VtkGpuEngine().load(pelvis)
    plain = graphics.render(view(pelvis)).rgb.astype(int)
    shown = graphics.render(view(pelvis, overlay=LabelOverlay(labels, {1: (1.0, 0.0, 0.0, 1.0)}))).rgb.astype(int)
    graphics.close()

    def redder(picture: NDArray[np.int_]) -> NDArray[np.bool_]:
        red: NDArray[np.bool_] = picture[..., 0] > picture[..., 2] + 80
        return red

    assert redder(shown).sum() > 3 * redder(plain).sum() + 200
    with pytest.raises(EngineError) as refused:
        graphics.render(view(pelvis))
    assert refused.value.code == "engine.closed"


@pytest.mark.parametrize(
    ("hidden", "renderer", "engine", "word"),
    [
        (frozenset({"egl"}), "NVIDIA H200/PCIe/SSE2", "cpu-raycast", "hidden"),
        (frozenset(), None, "cpu-raycast", "no OpenGL"),
        (frozenset(), "llvmpipe (LLVM 15.0.6, 256 bits)", "cpu-raycast", "llvmpipe"),
        (frozenset(), "NVIDIA H200/PCIe/SSE2", "vtk-gpu", "NVIDIA"),
        (frozenset({"rclone"}), "Mesa Intel(R) UHD Graphics", "vtk-gpu", "Intel"),
    ],
)
def test_engine_is_chosen_with_a_reason_when_asked(
    hidden: frozenset[str], renderer: str | None, engine: str, word: str
) -> None:
    choice = choose_engine(hidden=hidden, probe=lambda: renderer)
    assert choice.engine.name == engine
    assert word in choice.reason

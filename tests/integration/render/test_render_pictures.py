"""What arrives at a viewer is what the series holds: through a real process, sealed objects and the socket."""

from __future__ import annotations

import math
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from gantry_render.protocol import (
    CameraState,
    Frame,
    FrameFlag,
    MediaType,
    PlaneState,
    Probe,
    SlabMode,
    StackState,
    Tier,
    Voi,
    VolumeState,
)
from render_peer import Client, PeerSeries, Pod, RenderPeer
from render_phantom import ROWS, SLICES, phantom_kji

EXACT = {"quality": "lossless"}


def by_the_standard(values: NDArray[np.float64], center: float, width: float, function: str) -> NDArray[np.uint8]:
    """Window as PS3.3 C.11.2.1.2 and C.11.2.1.3 write it, case by case, output 0 to 255, in fractions."""
    distinct, back = np.unique(values, return_inverse=True)
    grey = [_grey(Fraction(float(value)), Fraction(center), Fraction(width), function) for value in distinct]
    return np.array(grey, np.uint8)[back].reshape(values.shape)


def _grey(x: Fraction, c: Fraction, w: Fraction, function: str) -> int:
    if function == "sigmoid":
        return math.floor(255 / (1 + math.exp(-4 * float((x - c) / w))) + 0.5)
    if function == "linear":
        c, w = c - Fraction(1, 2), w - 1
    if x <= c - w / 2:
        return 0
    if x > c + w / 2:
        return 255
    return math.floor(((x - c) / w + Fraction(1, 2)) * 255 + Fraction(1, 2))


def pixels_of(frame: Frame) -> NDArray[np.uint8]:
    decode = {
        MediaType.PNG: imagecodecs.png_decode,
        MediaType.JPEG: imagecodecs.jpeg8_decode,
        MediaType.WEBP: imagecodecs.webp_decode,
        MediaType.AVIF: imagecodecs.avif_decode,
    }
    return np.asarray(decode[frame.media_type](frame.payload))


async def exact(client: Client) -> Frame:
    return await client.next_frame(lambda frame: FrameFlag.LOSSLESS in frame.flags)


@pytest.mark.parametrize(
    ("center", "width", "function"),
    [
        (40, 400, "linear"),
        (0, 1, "linear"),
        (0.3, 77.7, "linear"),
        (40, 400, "linear-exact"),
        (12.5, 0.5, "linear-exact"),
        (40, 400, "sigmoid"),
    ],
)
async def test_a_lossless_slice_is_the_standards_formula_to_the_bit(
    peer: RenderPeer, pod: Pod, series: PeerSeries, center: float, width: float, function: str
) -> None:
    async with await peer.connect(pod, series) as client:
        await client.look(StackState(7, (64, 48), voi=Voi("window", center, width, function)), **EXACT)  # type: ignore[arg-type]  # one of three
        frame = await exact(client)
    assert (frame.media_type, frame.tier) == (MediaType.PNG, Tier.T3)
    assert (frame.window_center, frame.window_width) == (center, width)
    expected = by_the_standard(phantom_kji()[7].astype(np.float64), center, width, function)
    np.testing.assert_array_equal(pixels_of(frame), expected)


async def test_lossless_webp_is_the_same_grey_when_the_client_prefers_it(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    async with await peer.connect(pod, series, accept=("image/webp", "image/jpeg", "image/png")) as client:
        await client.look(StackState(3, (64, 48), voi=Voi("window", 0, 300)), **EXACT)  # type: ignore[arg-type]  # a View's
        frame = await exact(client)
    assert frame.media_type is MediaType.WEBP
    expected = by_the_standard(phantom_kji()[3].astype(np.float64), 0, 300, "linear")
    for channel in range(3):
        np.testing.assert_array_equal(pixels_of(frame)[..., channel], expected)


async def test_a_region_is_widened_to_whole_pixels_and_cut_to_the_image(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    async with await peer.connect(pod, series) as client:
        state = StackState(0, (900, 900), region=(-3.0, 10.4, 20.2, 200.0), voi=Voi("window", 0, 1000), invert=True)
        await client.look(state, **EXACT)  # type: ignore[arg-type]  # a View's
        frame = await exact(client)
    assert frame.region == (0, 10, 18, ROWS - 10)
    assert FrameFlag.INVERTED in frame.flags
    expected = 255 - by_the_standard(phantom_kji()[0].astype(np.float64), 0, 1000, "linear")
    np.testing.assert_array_equal(pixels_of(frame), expected[10:, :18])


async def test_shrinking_averages_values_before_the_window(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    async with await peer.connect(pod, series) as client:
        await client.look(StackState(0, (32, 24), voi=Voi("window", -250, 1000, "linear-exact")))
        frame = await client.next_frame()
    assert (frame.width, frame.height) == (32, 24)
    values = phantom_kji()[0].reshape(24, 2, 32, 2).mean(axis=(1, 3))
    expected = by_the_standard(values, -250, 1000, "linear-exact")
    assert np.abs(pixels_of(frame).astype(int) - expected).mean() < 2  # the JPEG of a ramp


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
        ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
        ((0.8, 0.6, 0.0), (0.0, 0.0, -1.0)),
        ((0.6, 0.0, 0.8), (0.0, 1.0, 0.0)),
    ],
)
async def test_a_plane_at_any_angle_is_right_to_linear_interpolation(
    peer: RenderPeer, pod: Pod, series: PeerSeries, row: tuple[float, float, float], column: tuple[float, float, float]
) -> None:
    center = np.array([39.0, 29.0, 28.0])
    voi = Voi("window", 0, 1200, "linear-exact")
    state = PlaneState(tuple(center), row, column, 1.3, (90, 70), voi=voi)
    async with await peer.connect(pod, series) as client:
        await client.look(state, **EXACT)  # type: ignore[arg-type]  # a View's
        frame = await exact(client)
    j, i = np.mgrid[0:70, 0:90]
    points = center + (i[..., None] - 44.5) * 1.3 * np.array(row) + (j[..., None] - 34.5) * 1.3 * np.array(column)
    ijk = points / (1.25, 1.25, 2.5)
    values = -500 + ijk @ (7.0, 5.0, 11.0)
    inside = ((ijk > 1e-3) & (ijk < np.array(phantom_kji().shape[::-1]) - 1.001)).all(axis=2)
    outside = ((ijk < -1e-3) | (ijk > np.array(phantom_kji().shape[::-1]) - 0.999)).any(axis=2)
    picture = pixels_of(frame).astype(int)
    assert inside.sum() > 1000
    # float32 samples may fall on the other side of a rounding step.
    assert np.abs(picture - by_the_standard(values, 0, 1200, "linear-exact"))[inside].max() <= 1
    assert (picture != by_the_standard(values, 0, 1200, "linear-exact"))[inside].mean() < 0.01
    assert (picture[outside] == 0).all()
    assert frame.place == pytest.approx(float(center @ np.cross(row, column)))


@pytest.mark.parametrize(("mode", "shift"), [(SlabMode.MIP, 22.0), (SlabMode.MINIP, -22.0), (SlabMode.AVERAGE, 0.0)])
async def test_a_slab_joins_its_layers(
    peer: RenderPeer, pod: Pod, series: PeerSeries, mode: SlabMode, shift: float
) -> None:
    voi = Voi("window", 0, 1200, "linear-exact")
    # Ten millimetres around slice 10 are slices 8 to 12, each 11 brighter than the one before.
    state = PlaneState((30.0, 30.0, 25.0), (1, 0, 0), (0, 1, 0), 1.25, (20, 20), 10.0, mode, voi)
    async with await peer.connect(pod, series) as client:
        await client.look(state, **EXACT)  # type: ignore[arg-type]  # a View's
        frame = await exact(client)
    ijk = (np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1) - 9.5) + 24
    values = -500 + ijk @ (7.0, 5.0) + 110 + shift
    assert np.abs(pixels_of(frame).astype(int) - by_the_standard(values, 0, 1200, "linear-exact")).max() <= 1


async def test_the_volume_is_seen_from_its_front_when_3d_is_asked_for(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    middle = (39.0, 29.0, 28.0)
    camera = CameraState((39.0, -300.0, 28.0), middle, (0.0, 0.0, 1.0), 60.0)
    async with await peer.connect(pod, series) as client:
        await client.look(VolumeState(camera, (200, 160), "CT-Bone"))
        motion = await client.next_frame()
        settled = await client.next_frame(lambda frame: FrameFlag.SETTLED in frame.flags)
        await client.look(VolumeState(camera, (200, 160), "CT-Bone", crop_low_ijk=(0, 0, 0), crop_high_ijk=(1, 1, 1)))
        cropped = await client.next_frame(lambda frame: FrameFlag.SETTLED in frame.flags)
        await client.look(VolumeState(camera, (200, 160), "no such preset"))
        notice = await client.next_text("notice", code="scene.unknown_preset")
    # How large it is, is a matter of the machine's pace.
    assert motion.width * 160 == motion.height * 200 and motion.width <= 200
    assert FrameFlag.SETTLED not in motion.flags
    assert (settled.width, settled.height) == (200, 160)
    assert FrameFlag.COLOUR in settled.flags
    # Bone begins at 140: the phantom's bright corner is there, and gone when it is cut away.
    assert pixels_of(settled).max() > 60
    assert pixels_of(cropped).max() < 20
    assert notice["view"] == 0


async def test_the_value_under_the_cursor_is_the_images(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    async with await peer.connect(pod, series) as client:
        await client.next_text("progress", is_volume_ready=True)
        await client.look(StackState(7, (64, 48)))
        await client.next_frame()
        await client.send(Probe(1, frame=7, column=20, row=10))
        pixel = await client.next_text("probed", id=1)
        await client.send(Probe(2, frame=7, column=64, row=10))
        outside = await client.next_text("probed", id=2)
        await client.send(Probe(3, point_lps_mm=(25.0, 12.5, 17.5)))
        point = await client.next_text("probed", id=3)
    value = float(phantom_kji()[7, 10, 20])
    assert (pixel["value"], pixel["text"]) == (value, f"{value:.0f} HU")
    assert outside["value"] is None
    assert point["value"] == value


async def test_welcome_tells_the_series_and_progress_ends_whole(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    async with await peer.connect(pod, series) as client:
        welcome = await client.welcome()
        progress = await client.next_text("progress", is_volume_ready=True)
    assert [frame["position_lps_mm"][2] for frame in welcome["frames"]] == [2.5 * k for k in range(SLICES)]
    assert welcome["volume"]["shape_kji"] == list(phantom_kji().shape)
    assert welcome["unit"] == "HU"
    assert progress["loaded"] == [[0, SLICES]]

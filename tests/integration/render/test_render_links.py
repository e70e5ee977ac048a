"""What a viewer is sent, and told, when the store or the link is slow."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from ct_files import make_ct
from gantry_render.protocol import Frame, FrameFlag, MediaType, StackState, Tier, Voi
from render_peer import PeerSeries, Pod, RenderPeer, to_bytes
from s3_server import S3Server, set_credentials
from throttle import Link, throttled

SIDE = 256
THIN = Link("thin", 400e3, 0.02)
"""A fifth of what a link bears that is not low."""

WINDOW = Voi("window", 0, 1000, "linear-exact")


@pytest.fixture(scope="module")
def textured(peer: RenderPeer) -> PeerSeries:
    """Return four slices that no codec makes very small."""
    random = np.random.default_rng(5)
    ramp = np.linspace(-400, 400, SIDE)[np.newaxis] * np.ones((SIDE, 1))
    datasets = make_ct(4, Rows=SIDE, Columns=SIDE)
    for dataset in datasets:
        dataset.PixelData = (ramp + random.normal(0, 25, (SIDE, SIDE))).astype(np.int16).tobytes()
    return peer.add_series(to_bytes(datasets))


@pytest.mark.parametrize(
    ("accept", "moving", "settled"),
    [
        (("image/avif", "image/jpeg", "image/png"), MediaType.AVIF, MediaType.AVIF),
        (("image/jpeg", "image/png"), MediaType.JPEG, MediaType.JPEG),
    ],
)
async def test_pictures_are_avif_on_a_thin_link_when_the_client_reads_it(
    peer: RenderPeer, pod: Pod, textured: PeerSeries, accept: tuple[str, ...], moving: MediaType, settled: MediaType
) -> None:
    with throttled(pod.port, THIN) as proxy:
        async with await peer.connect(pod, textured, accept=accept, port=proxy.port) as client:
            await client.look(StackState(0, (SIDE, SIDE), voi=WINDOW))
            # Nothing is known of the link before the first picture was acknowledged.
            first = await client.next_frame()
            asked = await client.look(StackState(1, (SIDE, SIDE), voi=WINDOW))
            motion = await client.next_frame(lambda frame: frame.state_id == asked)
            still = await client.next_frame(lambda frame: FrameFlag.SETTLED in frame.flags)
    assert first.media_type is MediaType.JPEG
    assert (motion.media_type, motion.tier, motion.width) == (moving, Tier.T0, SIDE)
    assert (still.media_type, still.tier, still.place) == (settled, Tier.T2, 1.0)
    # They are pictures, and the same one: in mean, what the standard's formula makes of the ramp.
    expected = (np.linspace(-400, 400, SIDE) / 1000 + 0.5) * 255
    for frame in (motion, still):
        assert np.abs(grey(frame).mean(axis=0) - expected).mean() < 3


def grey(frame: Frame) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return a picture's grey values."""
    decode = imagecodecs.avif_decode if frame.media_type is MediaType.AVIF else imagecodecs.jpeg8_decode
    picture = np.asarray(decode(frame.payload), np.float64)
    return picture if picture.ndim == 2 else picture[..., 0]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    set_credentials(monkeypatch)
    server = S3Server(tmp_path, "objects")
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.kill()


async def test_a_slow_store_is_told_of_until_the_picture_comes(store: S3Server) -> None:
    # Ten projections of 2 MiB: more than the pod holds at once, so that it reads each when it is looked at. Noise, or all
    # of them would have come with the pack's index.
    random = np.random.default_rng(5)
    datasets = make_ct(10, Rows=1024, Columns=1024)
    for dataset in datasets:
        dataset.Modality = "DX"
        dataset.PixelData = random.integers(-1000, 1000, (1024, 1024), np.int16).tobytes()
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    with RenderPeer(store.url) as peer:
        series = peer.add_series(to_bytes(datasets))
        with peer.start_pod(memory_bytes=str(64 << 20)) as pod:
            async with await peer.connect(pod, series) as client:
                await client.welcome()
                store.process.send_signal(signal.SIGSTOP)
                await client.look(StackState(7, (128, 128)))
                slow = await client.next_text("notice", code="store.slow")
                store.process.send_signal(signal.SIGCONT)
                over = await client.next_text("notice", code="store.slow", is_over=True)
                frame = await client.next_frame()
    assert slow["sentence"] and not slow["is_over"] and over["is_over"]
    assert frame.place == 7

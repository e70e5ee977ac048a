"""A rendered CT slice as JPEG q90: our stream, from a state that is sent to its bytes, against Orthanc's `/rendered`.

Both run on loopback for one client that keeps its connection: the same slices in the same random order under the same
window. Both have what they read in memory: Orthanc its files, the pod its decoded frames; pictures are made anew each time.
"""

from __future__ import annotations

import io
import os
import random
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("platform", "rendering", "tests/support")]

import numpy as np  # noqa: E402  # the path stands above
import pydicom  # noqa: E402  # as above
from PIL import Image  # noqa: E402  # as above

from bench_result import write_result  # noqa: E402  # as above
from gantry_render.protocol import Frame, MediaType, StackState, Tier, Voi  # noqa: E402  # as above
from orthanc_peer import OrthancPeer, why_no_orthanc  # noqa: E402  # as above
from real_ct import find_set, image_files  # noqa: E402  # as above
from render_peer import ORIGIN, PeerSeries, Pod, RenderPeer  # noqa: E402  # as above
from thin_client import ThinHttp, ThinStream  # noqa: E402  # as above

SIDE, ROUNDS, WARM, COMPARED = 512, 2, 60, 12
CENTER, WIDTH, QUALITY = -600.0, 1500.0, 90
TIMES_FASTER = 3.0


def psnr_db(first: bytes, second: bytes) -> float:
    """Return the peak signal-to-noise ratio of two encoded grey pictures."""
    a, b = (np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.float64) for data in (first, second))
    assert a.shape == b.shape == (SIDE, SIDE)
    return float(10 * np.log10(255**2 / max(float(np.mean((a - b) ** 2)), 1e-9)))


def quantile(values: list[float], share: float) -> float:
    """Return a quantile."""
    return float(np.quantile(values, share))


def state_of(frame: int) -> StackState:
    """Return the state that shows a slice as the peer is asked for it."""
    return StackState(frame, (SIDE, SIDE), voi=Voi("window", CENTER, WIDTH))


def main() -> None:
    """Run it."""
    folder, why_not = find_set("ct-chest-lidc0314"), why_no_orthanc()
    if folder is None or why_not is not None:
        sys.stdout.write(f"render_slice: left out: {why_not or 'the real CT does not lie beside the checkout.'}\n")
        return
    load_before = os.getloadavg()[0]
    files = image_files(folder)
    with RenderPeer() as ours, OrthancPeer() as peer:
        peer.store(files)
        series = ours.add_series([path.read_bytes() for path in files])
        with ours.start_pod() as pod:
            measure(ours, pod, series, peer, files, load_before)


def measure(
    ours: RenderPeer, pod: Pod, series: PeerSeries, peer: OrthancPeer, files: list[Path], load_before: float
) -> None:
    """Ask both in turns, slice by slice, so that a busy machine is busy for both."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    uids = {
        str(each.SOPInstanceUID): (each.StudyInstanceUID, each.SeriesInstanceUID, each.SOPInstanceUID)
        for each in headers
    }
    places = [frame.sop_instance_uid for frame in series.index.frames]
    # No slice twice in a row: the stream sends nothing for a state that is shown already.
    shuffled = random.Random(3)
    order = [number for _ in range(ROUNDS) for number in shuffled.sample(range(len(places)), len(places))]
    http = ThinHttp(peer.port)
    mine: list[float] = []
    theirs: list[float] = []
    frames: list[Frame] = []
    alike: list[float] = []
    their_bytes: list[int] = []
    path = f"/t/demo/render/v1/{series.series_id}"
    with ThinStream(pod.port, path, ours.ticket(series), origin=ORIGIN) as stream:
        # Every frame is decoded once, every file read once, and the stream has learned that the link is fast.
        for number in [*range(len(places)), *order[-WARM:]]:
            stream.ask(state_of(number))
            http.get(peer.rendered_path(uids[places[number]], CENTER, WIDTH, QUALITY), "image/jpeg")
        for number in order:
            seconds, frame = stream.ask(state_of(number))
            assert (frame.media_type, frame.tier, frame.width, frame.height) == (MediaType.JPEG, Tier.T2, SIDE, SIDE)
            assert frame.place == number
            mine.append(1e3 * seconds)
            frames.append(frame)
            seconds, body = http.get(peer.rendered_path(uids[places[number]], CENTER, WIDTH, QUALITY), "image/jpeg")
            theirs.append(1e3 * seconds)
            their_bytes.append(len(body))
            if len(alike) < COMPARED:
                alike.append(psnr_db(frame.payload, body))
    http.close()
    assert min(alike) > 35, f"not the same slices: {alike}"
    p50, peer_p50 = statistics.median(mine), statistics.median(theirs)
    details = {
        "asked": len(order),
        "p95_ms": round(quantile(mine, 0.95), 2),
        "peer_p95_ms": round(quantile(theirs, 0.95), 2),
        "queued_ms": round(statistics.median(frame.queued_us for frame in frames) / 1e3, 2),
        "render_ms": round(statistics.median(frame.render_us for frame in frames) / 1e3, 2),
        "encode_ms": round(statistics.median(frame.encode_us for frame in frames) / 1e3, 2),
        "kib": round(statistics.mean(len(frame.payload) for frame in frames) / 1024, 1),
        "peer_kib": round(statistics.mean(their_bytes) / 1024, 1),
        "psnr_db": [round(min(alike), 1), round(max(alike), 1)],
        "times_faster": round(peer_p50 / p50, 2),
    }
    write_result(
        "render_slice",
        unit="ms p50",
        better="lower",
        ours=p50,
        peer=peer_p50,
        peer_name=f"Orthanc {peer.version} /rendered",
        bar=round(peer_p50 / TIMES_FASTER, 3),
        load_before=load_before,
        details=details,
    )


if __name__ == "__main__":
    main()

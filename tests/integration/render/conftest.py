"""One control plane, one pod and a phantom series for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ct_files import make_ct
from render_peer import PeerSeries, Pod, RenderPeer, to_bytes
from render_phantom import COLUMNS, ROWS, SLICES, phantom_kji


@pytest.fixture(scope="session")
def peer() -> Iterator[RenderPeer]:
    with RenderPeer() as peer:
        yield peer


@pytest.fixture(scope="session")
def series(peer: RenderPeer) -> PeerSeries:
    """Return an axial CT, 1.25 mm pixels, 2.5 mm slices, first voxel at the patient's origin."""
    voxels = phantom_kji()
    datasets = make_ct(SLICES, Rows=ROWS, Columns=COLUMNS)
    for dataset, plane in zip(datasets, voxels, strict=True):
        dataset.PixelData = plane.tobytes()
    return peer.add_series(to_bytes(datasets))


@pytest.fixture(scope="session")
def pod(peer: RenderPeer) -> Iterator[Pod]:
    with peer.start_pod() as pod:
        yield pod

"""Findings and segments in planes and in 3D, from the DICOM objects that our own pipeline writes."""

from __future__ import annotations

import dataclasses
import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from ct_result import Case, make_case
from gantry_inference.meshes import build_mesh
from gantry_inference.outputs.seg import write_segmentation
from gantry_inference.outputs.stl import write_mesh
from gantry_render.protocol import CameraState, Frame, FrameFlag, PlaneState, VolumeState
from render_peer import PeerSeries, Pod, RenderPeer, to_bytes

EXACT = {"quality": "lossless"}


def series_of(peer: RenderPeer, case: Case) -> PeerSeries:
    for source, plane in zip(case.sources, case.volume.voxels_kji, strict=True):
        source.PixelData = plane.tobytes()
    return peer.add_series(to_bytes(case.sources))


def segmentation(case: Case) -> bytes:
    return write_segmentation(case.sources, case.labels_kji, case.volume, case.card, case.provenance)


def rgb(frame: Frame) -> NDArray[np.int_]:
    assert FrameFlag.COLOUR in frame.flags
    return np.asarray(imagecodecs.png_decode(frame.payload)).astype(int)


def is_red(pixels: NDArray[np.int_]) -> NDArray[np.bool_]:
    return pixels[..., 0] > pixels[..., 1] + 40


@pytest.mark.parametrize("grid", ["axial", "oblique", "flipped", "left_handed"])
async def test_segments_lie_on_their_voxels_when_grid_is(peer: RenderPeer, pod: Pod, grid: str) -> None:
    case = make_case(grid)
    series = peer.add_result(series_of(peer, case), "segmentation", segmentation(case))
    to_lps = case.volume.lps_from_ijk
    # Slice 5 of the case's own grid, voxel for pixel but for the spacing of its columns.
    center = to_lps @ [(48 - 1) / 2, (40 - 1) / 2, 5, 1]
    row, column = (tuple(float(part) for part in case.volume.direction[:, axis]) for axis in (0, 1))
    state = PlaneState(tuple(center[:3]), row, column, 0.8, (48, 34), segments=(series.results[0].id,))  # type: ignore[arg-type]  # three numbers
    async with await peer.connect(pod, series) as client:
        await client.look(state, **EXACT)  # type: ignore[arg-type]  # a View's
        frame = await client.next_frame(lambda frame: {FrameFlag.COLOUR, FrameFlag.LOSSLESS} <= set(frame.flags))
    rows = np.rint((np.arange(34) - 16.5) * 0.8 / 0.7 + 19.5).astype(int)
    expected = case.labels_kji[5][rows] == 1
    assert expected.any()
    np.testing.assert_array_equal(is_red(rgb(frame)), expected)


async def test_a_segmentation_of_another_grid_is_left_out_with_a_notice(peer: RenderPeer, pod: Pod) -> None:
    case = make_case()
    shifted = pydicom.dcmread(io.BytesIO(segmentation(case)))
    for group in shifted.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [position[0] + 0.3, position[1], position[2]]
    series = peer.add_result(series_of(peer, case), "segmentation", to_bytes([shifted])[0])
    state = PlaneState((5.0, 50.0, -90.0), (1, 0, 0), (0, 1, 0), 0.8, (48, 35), segments=(series.results[0].id,))
    async with await peer.connect(pod, series) as client:
        await client.look(state)
        notice = await client.next_text("notice", code="result.other_grid")
        await client.look(dataclasses.replace(state, spacing_mm=0.9))
        frame = await client.next_frame(lambda frame: frame.state_id == 2)
    assert "not the volume's voxels" in notice["sentence"]
    assert FrameFlag.COLOUR not in frame.flags


async def test_a_file_that_is_no_result_is_left_out_with_a_notice(peer: RenderPeer, pod: Pod) -> None:
    case = make_case()
    series = peer.add_result(series_of(peer, case), "mesh", b"nonsense")
    async with await peer.connect(pod, series) as client:
        await client.look(_front(case, meshes=(series.results[0].id,)))
        assert (await client.next_text("notice"))["code"] == "result.corrupt"
        await client.next_frame(lambda frame: FrameFlag.SETTLED in frame.flags)


async def test_a_findings_mesh_is_hidden_behind_what_lies_before_it(peer: RenderPeer, pod: Pod) -> None:
    case = make_case()
    mesh = write_mesh(case.sources, build_mesh(case.labels_kji == 1, case.volume), 1, case.card, case.provenance)
    # The mesh of the smaller box alone would do; the whole finding is what the pipeline writes.
    series = peer.add_result(series_of(peer, case), "mesh", mesh)
    shown = _front(case, meshes=(series.results[0].id,))
    async with await peer.connect(pod, series) as client:
        await client.look(_front(case), **EXACT)  # type: ignore[arg-type]  # a View's
        bare = await client.next_frame(lambda frame: FrameFlag.LOSSLESS in frame.flags)
        await client.look(shown, **EXACT)  # type: ignore[arg-type]  # a View's
        while True:
            frame = await client.next_frame(lambda frame: FrameFlag.LOSSLESS in frame.flags)
            if is_red(rgb(frame)).any():
                break
    assert is_red(rgb(frame)).sum() > 200
    # Beside the finding nothing changed.
    difference = np.abs(rgb(frame) - rgb(bare)).max(axis=2) > 8
    assert difference.mean() < 0.6


def _front(case: Case, **more: object) -> VolumeState:
    shape = case.volume.shape_kji
    middle = (case.volume.lps_from_ijk @ [shape[2] / 2, shape[1] / 2, shape[0] / 2, 1])[:3]
    x, y, z = (float(part) for part in middle)
    camera = CameraState((x, y - 200.0, z), (x, y, z), (0.0, 0.0, 1.0), 25.0)
    return VolumeState(camera, (160, 120), "CT-Bone", **more)  # type: ignore[arg-type]  # a VolumeState's

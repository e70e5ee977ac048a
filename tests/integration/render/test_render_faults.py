"""What a pod does when somebody or something misbehaves: a client, a ticket, the control plane, the store, the end."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import websockets

from ct_files import make_ct
from gantry_render.protocol import (
    IN_FLIGHT,
    Ack,
    CameraState,
    CloseCode,
    Drop,
    Frame,
    FrameFlag,
    Hello,
    Ping,
    PlaneState,
    StackState,
    View,
    VolumeState,
    dump_message,
)
from gantry_render.server.control import MemoryControlPlane
from render_peer import Client, PeerSeries, Pod, RenderPeer, open_socket, to_bytes
from render_phantom import SLICES

STACK = StackState(0, (64, 48))


async def heard(client: Client) -> AsyncIterator[Frame | dict[str, Any]]:
    """Yield what comes until a ping that is sent now is answered."""
    await client.send(Ping())
    while True:
        message = await client.receive()
        if isinstance(message, dict) and message["type"] == "pong":
            return
        yield message


async def closes(client: Client) -> tuple[int | None, str]:
    code, bye = await client.closed()
    return code, bye["code"] if bye else ""


# Tickets.


async def test_a_ticket_opens_one_session_once(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    ticket = peer.ticket(series)
    async with await peer.connect(pod, series, ticket=ticket) as client:
        await client.welcome()
        async with await peer.connect(pod, series, ticket=ticket) as replayed:
            assert await closes(replayed) == (CloseCode.TICKET_REFUSED, "ticket.used")
        # The session that was opened honestly goes on.
        await client.look(STACK)
        await client.next_frame()


async def test_a_ticket_is_refused_when_it_is_expired_forged_or_for_another_series(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    elsewhere = MemoryControlPlane().issue(peer.manifest(series))
    other = dataclasses.replace(series, series_id=series.study_id)
    tickets = {
        peer.ticket(series, lives_s=-30): "ticket.expired",
        elsewhere: "ticket.forged",
        peer.ticket(other): "ticket.other_series",
        "nonsense": "ticket.forged",
    }
    for ticket, code in tickets.items():
        async with await peer.connect(pod, series, ticket=ticket) as client:
            assert await closes(client) == (CloseCode.TICKET_REFUSED, code)


async def test_the_socket_is_refused_when_the_page_is_another_sites(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await open_socket(pod.port, str(series.series_id), origin="https://elsewhere.example")
    assert refused.value.response.status_code == 403


# Messages.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"type": "nothing"}',
        '{"type": "hello", "ticket": "again"}',
        '{"type": "view", "view": 99, "state_id": 1, "state": {"kind": "stack", "frame": 0, "size": [8, 8]}}',
        '{"type": "view", "view": 0, "state_id": 1, "state": {"kind": "stack", "frame": 0, "size": [NaN, 8]}}',
        '{"type": "view", "view": 0, "state_id": 1, "state": {"kind": "stack", "frame": 0, "size": [1e9, 8]}}',
        '{"type": "ack", "seq": -1}',
        "x" * 40_000,
        b"\x47\x01",
    ],
)
async def test_a_hostile_message_ends_the_session(
    peer: RenderPeer, pod: Pod, series: PeerSeries, text: str | bytes
) -> None:
    async with await peer.connect(pod, series) as client:
        await client.welcome()
        await client.socket.send(text)
        code, bye = await closes(client)
    assert code == CloseCode.MALFORMED
    assert bye in {"message.malformed", "message.unknown"}


async def test_a_session_does_not_begin_without_hello(pod: Pod, series: PeerSeries) -> None:
    async with await open_socket(pod.port, str(series.series_id)) as client:
        await client.send(Ping())
        assert await closes(client) == (CloseCode.MALFORMED, "hello.expected")


async def test_what_does_not_exist_is_answered_and_the_session_goes_on(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    async with await peer.connect(pod, series) as client:
        await client.welcome()
        await client.look(StackState(SLICES, (64, 48)))
        assert (await client.next_text("notice"))["code"] == "view.no_frame"
        await client.send(Ack(12_345))
        await client.send(Drop(7))
        await client.look(dataclasses.replace(STACK, region=(1000.0, 0.0, 5.0, 5.0)), view=1)
        assert (await client.next_text("notice", view=1))["code"] == "render.bad_viewport"
        await client.look(STACK)
        await client.next_frame()


# The window.


async def test_two_frames_at_most_wait_for_a_client_that_acknowledges_nothing(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    async with await peer.connect(pod, series) as client:
        await client.welcome()
        # Known links get two at once: tell this one first.
        await client.look(STACK)
        await client.next_frame()
        frames: list[Frame] = []
        for number in range(60):
            view = View(0, 100 + number, StackState(1 + number % (SLICES - 1), (64, 48)), moving=True)
            await client.send(view)
            frames += [message async for message in heard(client) if isinstance(message, Frame)]
        assert 1 <= len(frames) <= IN_FLIGHT
        # Once it does, the newest state comes, and nothing older.
        for frame in frames:
            await client.send(Ack(frame.seq))
        newest = frames[-1]
        if newest.state_id != 159:
            newest = await client.next_frame(lambda frame: frame.state_id == 159)
    assert newest.place == 1 + 59 % (SLICES - 1)


async def test_prefetched_places_come_in_order_and_stop_when_the_scroll_reverses(
    peer: RenderPeer, pod: Pod, series: PeerSeries
) -> None:
    async with await peer.connect(pod, series) as client:
        await client.welcome()
        await client.next_text("progress", is_volume_ready=True)
        ahead = tuple(float(place) for place in range(11, 20))
        await client.send(View(0, 1, StackState(10, (64, 48)), moving=True, prefetch=ahead))
        first = await client.next_frame(lambda frame: FrameFlag.PREFETCHED in frame.flags)
        assert first.place == 11
        await client.send(View(0, 2, StackState(9, (64, 48)), moving=True, prefetch=(8.0, 7.0)))
        behind: list[float] = []
        while behind[-2:] != [8.0, 7.0]:
            frame = await client.next_frame()
            if FrameFlag.PREFETCHED in frame.flags and frame.place < 10:
                behind.append(frame.place)
        after = [message async for message in heard(client) if isinstance(message, Frame)]
    assert not [frame for frame in after if frame.place > 10]


async def test_a_client_that_reads_nothing_delays_nobody(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    deaf = await peer.connect(pod, series)
    async with await peer.connect(pod, series) as client:
        await client.welcome()
        await deaf.welcome()
        deaf.socket.transport.pause_reading()
        for number in range(50):
            await deaf.send(View(0, number, StackState(number % SLICES, (64, 48)), moving=True))
            await client.look(StackState(number % SLICES, (64, 48)), moving=True)
            await client.next_frame(lambda frame, place=float(number % SLICES): frame.place == place)  # type: ignore[misc]  # default
    deaf.socket.transport.abort()


# Memory.


async def test_a_series_that_never_fits_shows_its_slices_and_half_of_its_planes(peer: RenderPeer) -> None:
    large = peer.add_series(to_bytes(_blank(70, 768)))
    with peer.start_pod(memory_bytes=str(64 << 20)) as small:
        async with await peer.connect(small, large) as client:
            welcome = await client.welcome()
            assert welcome["volume"] is not None
            assert (await client.next_text("notice", code="volume.reduced"))["sentence"]
            await client.look(StackState(35, (768, 768)), quality="lossless")
            slice_ = await client.next_frame(lambda frame: FrameFlag.LOSSLESS in frame.flags)
            assert FrameFlag.PREVIEW not in slice_.flags
            center = 0.0, 0.0, 80.0
            plane = PlaneState(center, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 1.0, (128, 128))
            asked = await client.look(plane, quality="lossless")
            shown = await client.next_frame(lambda frame: frame.state_id == asked and FrameFlag.SETTLED in frame.flags)
            assert FrameFlag.PREVIEW in shown.flags and FrameFlag.LOSSLESS not in shown.flags
            # Nothing better is to come, and nothing is drawn again and again.
            assert [message async for message in heard(client) if isinstance(message, Frame)] == []
            camera = CameraState((0.0, -600.0, 80.0), center, (0.0, 0.0, 1.0), 200.0)
            asked = await client.look(VolumeState(camera, (128, 128), "CT-Bone"))
            shown = await client.next_frame(lambda frame: frame.state_id == asked and FrameFlag.SETTLED in frame.flags)
            assert FrameFlag.PREVIEW in shown.flags
        assert b"gantry_render_evictions_total 0.0" in small.get("/metrics").content


async def test_idle_series_are_evicted_when_room_is_needed(peer: RenderPeer) -> None:
    several = [peer.add_series(to_bytes(_blank(40, 640))) for _ in range(2)]
    with peer.start_pod(memory_bytes=str(64 << 20)) as small:
        async with await peer.connect(small, several[0]) as client:
            await client.welcome()
            async with await peer.connect(small, several[1]) as second:
                assert await closes(second) == (CloseCode.BUSY, "pod.full")
        # Its reader has gone: the room may be had as soon as the pod has noticed.
        while True:
            async with await peer.connect(small, several[1]) as second:
                message = await second.receive()
                if isinstance(message, dict) and message["type"] == "welcome":
                    await second.look(STACK)
                    await second.next_frame()
                    break
        page = small.get("/metrics").text
    assert "gantry_render_evictions_total 1.0" in page


async def test_a_stack_of_huge_frames_is_kept_frame_by_frame(peer: RenderPeer) -> None:
    # 20 projections of 2 MiB each, no volume: more than the pod holds for one stack.
    datasets = _blank(20, 1024)
    for dataset in datasets:
        dataset.Modality = "DX"
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    stack = peer.add_series(to_bytes(datasets))
    assert stack.index.kind == "stack"
    with peer.start_pod(memory_bytes=str(64 << 20)) as small:
        async with await peer.connect(small, stack) as client:
            await client.welcome()
            for number in [*range(20), 0]:
                await client.look(StackState(number, (256, 256)), moving=True)
                await client.next_frame(lambda frame, place=float(number): frame.place == place)  # type: ignore[misc]  # default
            loaded = [text for text in client.texts if text["type"] == "progress"][-1]["loaded"]
    assert sum(beyond - first for first, beyond in loaded) <= 8


# The lease. How long it takes is `tests/unit/render/server/test_render_leases.py`'s to say.


async def test_a_session_ends_when_it_is_revoked(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    session = "00000000-0000-4000-8000-000000000001"
    async with await peer.connect(pod, series, session=session) as client, await peer.connect(pod, series) as other:
        await client.welcome()
        peer.control.end(session, "session.signed_out", "You signed out.")
        assert await closes(client) == (CloseCode.SIGNED_OUT, "session.signed_out")
        await other.look(STACK)
        await other.next_frame()


async def test_every_session_ends_when_the_control_plane_is_gone(peer: RenderPeer, series: PeerSeries) -> None:
    with peer.start_pod() as alone:
        async with await peer.connect(alone, series) as client:
            await client.welcome()
            peer.control.is_reachable = False
            try:
                code, bye = await client.closed()
            finally:
                peer.control.is_reachable = True
    assert (code, bye and bye["code"]) == (CloseCode.LEASE_LOST, "lease.lost")
    assert bye is not None and bye["retry_after_ms"] is not None


async def test_a_session_is_taken_over_when_it_is_opened_again(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    session = "00000000-0000-4000-8000-000000000002"
    async with await peer.connect(pod, series, session=session) as before:
        await before.welcome()
        async with await peer.connect(pod, series, session=session) as after:
            await after.welcome()
            assert (await closes(before))[1] == "session.taken_over"
            await after.look(STACK)
            await after.next_frame()


# The end.


async def test_sessions_are_handed_over_when_the_pod_is_told_to_end(peer: RenderPeer, series: PeerSeries) -> None:
    with peer.start_pod() as going, peer.start_pod() as staying:
        session = "00000000-0000-4000-8000-000000000003"
        async with await peer.connect(going, series, session=session) as client:
            await client.look(STACK)
            await client.next_frame()
            going.terminate()
            code, bye = await client.closed()
        assert (code, bye and bye["code"]) == (CloseCode.DRAINING, "pod.draining")
        assert bye is not None and bye["retry_after_ms"] is not None
        assert going.process.wait(60) == 0
        async with await peer.connect(staying, series, session=session) as client:
            await client.look(STACK)
            assert (await client.next_frame()).place == 0
    assert session in peer.control.released


async def test_a_session_goes_on_elsewhere_when_its_pod_is_killed(peer: RenderPeer, series: PeerSeries) -> None:
    session = "00000000-0000-4000-8000-000000000004"
    with peer.start_pod() as killed, peer.start_pod() as staying:
        async with await peer.connect(killed, series, session=session) as client:
            await client.look(STACK)
            await client.next_frame()
            killed.process.kill()
            assert await client.closed() == (1006, None)  # no last word: the viewer goes by the broken socket
        async with await peer.connect(staying, series, session=session) as client:
            await client.look(StackState(3, (64, 48)))
            assert (await client.next_frame()).place == 3


# The store.


async def test_a_damaged_slice_is_named_and_the_others_are_shown(peer: RenderPeer, pod: Pod) -> None:
    series = peer.add_series(to_bytes(_noise(12, 256)))
    path = next(path for path in peer.objects.rglob("*") if path.is_file() and str(series.pack.object_id) in path.name)
    chunk = series.index.frames[8].chunk
    assert chunk is not None
    data = bytearray(path.read_bytes())
    # Somewhere in the middle of the ninth slice's own chunk of ciphertext.
    data[chunk.offset + chunk.length // 2] ^= 0xFF
    path.chmod(0o600)
    path.write_bytes(data)
    async with await peer.connect(pod, series) as client:
        await client.welcome()
        await client.look(StackState(0, (256, 256)), view=0)
        await client.next_frame(lambda frame: frame.view == 0)
        await client.look(StackState(8, (256, 256)), view=1)
        notice = await client.next_text("notice", view=1)
    assert notice["code"] == "pack.corrupt"
    assert "9" in notice["sentence"]
    assert notice["place"] == 8


# What may not be seen from outside.


async def test_pages_and_logs_name_no_ticket_and_no_patient(peer: RenderPeer, pod: Pod, series: PeerSeries) -> None:
    ticket = peer.ticket(series)
    async with await peer.connect(pod, series, ticket=ticket) as client:
        welcome = await client.welcome()
        await client.look(STACK)
        await client.next_frame()
    seen = pod.log.read_text() + pod.get("/metrics").text + pod.get("/readyz").text + json.dumps(welcome)
    for secret in (ticket, peer.pod_key, "Fictus", "FICT-1", "ACC-1"):
        assert secret not in seen
    assert "gantry_render_frames_total" in pod.get("/metrics").text
    assert pod.get("/readyz").json()["reason"]
    assert pod.get("/healthz").status_code == 200


def test_hello_does_not_show_its_ticket() -> None:
    assert "secret" not in repr(Hello("secret"))
    assert "secret" in dump_message(Hello("secret"))


def _blank(slices: int, side: int) -> list[Any]:
    datasets = make_ct(slices, Rows=side, Columns=side)
    for dataset in datasets:
        dataset.PixelData = bytes(2 * side * side)
    return datasets


def _noise(slices: int, side: int) -> list[Any]:
    datasets = make_ct(slices, Rows=side, Columns=side)
    random = np.random.default_rng(5)
    for dataset in datasets:
        dataset.PixelData = random.integers(-1000, 1000, (side, side), np.int16).tobytes()
    return datasets

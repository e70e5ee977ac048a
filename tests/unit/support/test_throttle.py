"""The thin link: its arithmetic on a clock of the test's own, its plumbing on real sockets."""

from __future__ import annotations

import asyncio

import pytest

from throttle import LINKS, Bottleneck, Link, ThrottlingProxy

PACKET = 1460


def test_bytes_leave_at_the_rate_when_they_come_faster() -> None:
    bottleneck = Bottleneck(LINKS["2G"])
    last = [bottleneck.pass_at(5.0, PACKET) for _ in range(1000)][-1]
    assert last - 5.0 == pytest.approx(1000 * PACKET * 8 / 750e3, rel=0.01)


def test_bytes_pass_at_once_when_the_link_was_idle() -> None:
    bottleneck = Bottleneck(LINKS["4G"])
    bottleneck.pass_at(0.0, 100 * PACKET)
    assert bottleneck.pass_at(60.0, PACKET) == 60.0
    # An idle minute saved up no more than the burst.
    last = [bottleneck.pass_at(60.0, PACKET) for _ in range(100)][-1]
    assert last - 60.0 == pytest.approx(100 * PACKET * 8 / 4e6, rel=0.03)


def test_senders_share_the_rate_when_there_are_two() -> None:
    bottleneck = Bottleneck(LINKS["2G"])
    first, second = zip(
        *[(bottleneck.pass_at(0.0, PACKET), bottleneck.pass_at(0.0, PACKET)) for _ in range(200)], strict=True
    )
    assert first[-1] == pytest.approx(second[-1], rel=0.01)
    assert second[-1] == pytest.approx(400 * PACKET * 8 / 750e3, rel=0.01)


async def _serve(answer: bytes, chunks: int) -> tuple[asyncio.Server, int, list[int], asyncio.Event]:
    """Serve whoever sends a line with `answer` `chunks` times; return how many were written."""
    written, asked = [0], asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"hello\n"
        asked.set()
        try:
            for _ in range(chunks):
                writer.write(answer)
                await writer.drain()
                written[0] += 1
            writer.close()
        except OSError:
            pass

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], written, asked


async def test_every_byte_arrives_in_order_and_the_end_too() -> None:
    answer = bytes(range(256)) * 64
    server, port, _, _ = await _serve(answer, 20)
    proxy = ThrottlingProxy(port, Link("test", 400e6, 0.001))
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello\n")
    assert await reader.read(-1) == answer * 20
    assert (proxy.bytes_up, proxy.bytes_down) == (6, len(answer) * 20)
    writer.close()
    await proxy.stop()
    server.close()


async def test_a_sender_waits_when_the_link_is_full() -> None:
    chunk = bytes(64 * 1024)
    server, port, written, asked = await _serve(chunk, 1000)
    proxy = ThrottlingProxy(port, Link("test", 8_000, 0.0))
    await proxy.start()
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello\n")
    await asked.wait()
    # 64 MB would have gone through an open link; here they stay where they are until the kernel's buffers are full.
    seen = -1
    while seen != written[0]:
        seen = written[0]
        for _ in range(200):
            await asyncio.sleep(0)
    assert written[0] < 200
    assert proxy.bytes_down < len(chunk)
    writer.close()
    await proxy.stop()
    server.close()


async def test_a_connection_ends_when_nobody_listens_behind() -> None:
    server, port, _, _ = await _serve(b"", 0)
    server.close()
    await server.wait_closed()
    proxy = ThrottlingProxy(port, LINKS["open"])
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await reader.read() == b""
    writer.close()
    await proxy.stop()

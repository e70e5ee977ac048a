"""A thin link in user space: a TCP proxy with a rate, a latency and a small buffer, for sockets and requests alike.

Chromium's own throttling treats WebSockets and requests differently, so what is compared goes through this one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_PACKET_BYTES: Final = 1460
_SOCKET_BUFFER_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Link:
    """What a link bears, the same in both directions.

    Parameters
    ----------
    bits_per_s
        Of payload; headers of TCP and IP are not counted.
    round_trip_s
        Latency there and back, without the time that bytes take on the link.
    buffer_bytes
        Of one connection and direction, before the bottleneck; a sender that is faster has to wait.
    """

    name: str
    bits_per_s: float
    round_trip_s: float
    buffer_bytes: int = 32 * 1024


# The figures are those of browsers' presets ("Regular 3G", "Regular 4G"), whose latency is a round trip.
LINKS: Final = {
    "2G": Link("2G", 750e3, 0.100),
    "4G": Link("4G", 4e6, 0.020),
    "open": Link("open", 10e9, 0.0, 1 << 20),
}


class Bottleneck:
    """A token bucket, as the time at which bytes are through.

    One for each direction of a link: all connections share it, packet by packet in the order of their coming.
    """

    def __init__(self, link: Link, burst_bytes: int = 2 * _PACKET_BYTES) -> None:
        self._bytes_per_s = link.bits_per_s / 8
        self._burst_s = burst_bytes / self._bytes_per_s
        self._free_at = float("-inf")

    def pass_at(self, now: float, size_bytes: int) -> float:
        """Take `size_bytes` in at `now`; return when the last of them leaves."""
        self._free_at = max(self._free_at, now - self._burst_s) + size_bytes / self._bytes_per_s
        return max(now, self._free_at)


class _Pipe:
    """One direction of one connection."""

    def __init__(self, link: Link, bottleneck: Bottleneck, count: Callable[[int], None]) -> None:
        self._link, self._bottleneck, self._count = link, bottleneck, count
        self._waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._held_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def run(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, opens_at: float) -> None:
        """Carry bytes until the source ends, then end the sink."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take(source, opens_at))
            tasks.create_task(self._give(sink))

    async def _take(self, source: asyncio.StreamReader, opens_at: float) -> None:
        now = asyncio.get_running_loop().time
        data = b"-"
        while data:
            await self._has_room.wait()
            try:
                data = await source.read(_PACKET_BYTES)
            except OSError:
                data = b""
            self._held_bytes += len(data)
            if self._held_bytes >= self._link.buffer_bytes:
                self._has_room.clear()
            leaves_at = self._bottleneck.pass_at(max(now(), opens_at), len(data))
            self._waiting.put_nowait((leaves_at + self._link.round_trip_s / 2, data))

    async def _give(self, sink: asyncio.StreamWriter) -> None:
        now = asyncio.get_running_loop().time
        with contextlib.suppress(OSError):
            while True:
                arrives_at, data = await self._waiting.get()
                if (left_s := arrives_at - now()) > 0:
                    await asyncio.sleep(left_s)
                if not data:
                    sink.write_eof()
                    return
                sink.write(data)
                await sink.drain()
                self._count(len(data))
                self._held_bytes -= len(data)
                if self._held_bytes < self._link.buffer_bytes:
                    self._has_room.set()
        # Whoever listened is gone; what still comes is thrown away.
        while (await self._waiting.get())[1]:
            self._held_bytes = 0
            self._has_room.set()


class ThrottlingProxy:
    """Listens on a port of 127.0.0.1 and carries every connection to another over a thin link."""

    def __init__(self, target_port: int, link: Link) -> None:
        self._target_port, self._link = target_port, link
        self._up, self._down = Bottleneck(link), Bottleneck(link)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0
        self.bytes_up = 0
        self.bytes_down = 0

    async def start(self, port: int = 0) -> None:
        """Begin to listen; `port` says where afterwards."""
        # Named as TCP, else asyncio leaves Nagle's algorithm on and an acknowledgement waits 40 ms for another's.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        # Inherited by what is accepted; large kernel buffers would hide that the link is full.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=2 * _PACKET_BYTES)
        self.port = listener.getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _count_up(self, size_bytes: int) -> None:
        self.bytes_up += size_bytes

    def _count_down(self, size_bytes: int) -> None:
        self.bytes_down += size_bytes

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_writer: asyncio.StreamWriter | None = None
        try:
            # A connection is open after one round trip; the kernel has accepted it at once.
            opens_at = asyncio.get_running_loop().time() + self._link.round_trip_s
            far_reader, far_writer = await self._connect()
            async with asyncio.TaskGroup() as tasks:
                up = _Pipe(self._link, self._up, self._count_up)
                down = _Pipe(self._link, self._down, self._count_down)
                tasks.create_task(up.run(reader, far_writer, opens_at))
                tasks.create_task(down.run(far_reader, writer, opens_at))
        except* OSError:
            pass
        finally:
            for each in (writer, far_writer):
                if each is not None:
                    each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        far = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
        far.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", self._target_port))
        except OSError:
            far.close()
            raise
        return await asyncio.open_connection(sock=far, limit=2 * _PACKET_BYTES)


@contextlib.contextmanager
def throttled(target_port: int, link: Link) -> Iterator[ThrottlingProxy]:
    """Run a proxy in a thread of its own for as long as the block lasts."""
    proxy = ThrottlingProxy(target_port, link)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=f"throttle-{link.name}", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(5)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def main() -> None:
    """Run a proxy until interrupted, to look at a page over a thin link by hand."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("target", type=int, help="port of 127.0.0.1 that is carried")
    parser.add_argument("--link", choices=LINKS, default="2G")
    parser.add_argument("--port", type=int, default=0)
    words = parser.parse_args()

    async def run() -> None:
        proxy = ThrottlingProxy(words.target, LINKS[words.link])
        await proxy.start(words.port)
        print(f"http://127.0.0.1:{proxy.port}/ over {words.link}")  # noqa: T201  # a program for people
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    main()

"""Clients without an event loop, for measuring latency: a request or a state goes out, bytes come in, nothing else happens."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any, Self

from gantry_render.protocol import (
    FRAME_MAGIC,
    SUBPROTOCOL,
    Ack,
    ClientMessage,
    Frame,
    Hello,
    State,
    View,
    dump_message,
    unpack_message,
)

_PATIENCE_S = 30.0
_CLOSE = 8


class ThinHttp:
    """One HTTP/1.1 connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self._port), _PATIENCE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def get(self, path: str, accept: str) -> tuple[float, bytes]:
        """Return seconds from the request to its last byte, and the body.

        Raises
        ------
        AssertionError
            The answer is not 200, or has no length.
        """
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n".encode()
        begun = time.perf_counter()
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._read()
        head = received[:end].decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        assert head[0].split()[1] == "200", head[0]
        needed = end + 4 + int(fields["content-length"])
        while len(received) < needed:
            received += self._read()
        return time.perf_counter() - begun, bytes(received[end + 4 :])

    def _read(self) -> bytes:
        data = self._socket.recv(1 << 18)
        assert data, "The server closed the connection."
        return data

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class ThinStream:
    """One socket to a render pod, or to what stands before it. A context manager.

    Reads and writes frames of RFC 6455 itself, as plainly as `ThinHttp` does HTTP.
    """

    def __init__(
        self, port: int, path: str, ticket: str, *, origin: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._state_id = 0
        self._arrived_at = 0.0
        fields = {
            "Host": origin.partition("//")[2],
            "Origin": origin,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
            "Sec-WebSocket-Protocol": SUBPROTOCOL,
            **(headers or {}),
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            self._read()
        head = self._received[:end].decode("latin-1")
        assert head.split()[1] == "101", head
        del self._received[: end + 4]
        self.send(Hello(ticket))
        self.welcome = self._welcome()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def look(self, state: State, **more: Any) -> float:
        """Send a state; return the time at which that began."""
        self._state_id += 1
        packet = _to_packet(dump_message(View(0, self._state_id, state, **more)).encode())
        begun = time.perf_counter()
        self._socket.sendall(packet)
        return begun

    def frame(self) -> tuple[float, Frame]:
        """Return the next frame of the newest state, and when its last byte was here; acknowledges only older ones."""
        while True:
            message = self.message()
            if isinstance(message, Frame) and message.state_id == self._state_id:
                return self._arrived_at, message
            if isinstance(message, Frame):
                self.acknowledge(message)
            else:
                assert message["type"] != "bye", message

    def ask(self, state: State) -> tuple[float, Frame]:
        """Return seconds from sending a state, which moves, to its picture's last byte, and the picture."""
        begun = self.look(state, moving=True)
        arrived, frame = self.frame()
        self.acknowledge(frame)
        return arrived - begun, frame

    def acknowledge(self, frame: Frame) -> None:
        """Say that a frame is on the screen."""
        self.send(Ack(frame.seq, painted=True))

    def send(self, message: ClientMessage) -> None:
        """Send any message."""
        self._socket.sendall(_to_packet(dump_message(message).encode()))

    def message(self) -> Frame | dict[str, Any]:
        """Return the next message."""
        data = b""
        while True:
            opcode, is_last, part = self._next_packet()
            assert opcode != _CLOSE, f"The pod closed the socket: {part!r}"
            if opcode > _CLOSE:
                continue
            data += part
            if is_last:
                break
        if data[0] == FRAME_MAGIC:
            return Frame.unpack(data)
        text: dict[str, Any] = json.loads(data if data[:1] == b"{" else unpack_message(data))
        return text

    def _welcome(self) -> dict[str, Any]:
        while True:
            message = self.message()
            if isinstance(message, dict):
                assert message["type"] != "bye", message
                if message["type"] == "welcome":
                    return message

    def _next_packet(self) -> tuple[int, bool, bytes]:
        while len(self._received) < 2:
            self._read()
        size, at = self._received[1] & 0x7F, 2
        if size >= 126:
            at += 2 if size == 126 else 8
            while len(self._received) < at:
                self._read()
            size = int.from_bytes(self._received[2:at], "big")
        while len(self._received) < at + size:
            self._read()
        self._arrived_at = time.perf_counter()
        part = bytes(self._received[at : at + size])
        first = self._received[0]
        del self._received[: at + size]
        return first & 0x0F, bool(first & 0x80), part

    def _read(self) -> None:
        data = self._socket.recv(1 << 18)
        assert data, "The connection ended."
        self._received += data


def _to_packet(text: bytes) -> bytes:
    """Return a masked text message; the key is zero, which masks nothing and is a key like any other."""
    size = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0xFE]) + len(text).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + text

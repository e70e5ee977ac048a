"""How it travels: JSON texts, packed where they are long, and frames with a fixed header."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field, fields
from typing import Any, Final

from gantry_render.protocol.messages import (
    VERSION,
    ClientMessage,
    FrameFlag,
    MediaType,
    ProtocolError,
    ServerMessage,
    Tier,
)

PACKED_MAGIC: Final = 0x5A
PACKED_FROM_BYTES: Final = 2048
"""A pod's text message from this size on travels as a binary message: `PACKED_MAGIC`, then its JSON as a zlib stream.
The welcome of 500 slices is 200 KB of JSON, two seconds of a slow link, and 15 KB packed."""
FRAME_MAGIC: Final = 0x47
FRAME_HEADER: Final = struct.Struct("<BBBBHHIIHHIdffffddII")
"""magic, version, media type, tier, flags u16, view u16, seq u32, state id u32, width u16, height u16, queued µs u32,
place f64, region 4 × f32, window centre f64, window width f64, render µs u32, encode µs u32; little-endian, 72 bytes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Parameters
    ----------
    place
        Frame number of a stack; distance of a plane from the patient's origin along its normal, millimetres; else 0.
    region
        Left, top, width, height of what the picture shows: in source pixels for a stack, else in parts of the view
        asked for (0, 0, 1, 1).
    window_center, window_width
        Of the picture as rendered; NaN where it has none (colour, lookup table, 3D).
    queued_us, render_us, encode_us
        Microseconds from the state's arrival to the start of rendering, and of the two stages.
    """

    media_type: MediaType
    tier: Tier
    flags: FrameFlag
    view: int
    seq: int
    state_id: int
    width: int
    height: int
    place: float
    region: tuple[float, float, float, float]
    window_center: float
    window_width: float
    queued_us: int
    render_us: int
    encode_us: int
    payload: bytes = field(repr=False)

    def pack(self, queued_us: int | None = None) -> bytes:
        """Return the binary message, with another time in the queue where one is given."""
        most = 0xFFFFFFFF
        head = FRAME_HEADER.pack(
            FRAME_MAGIC,
            VERSION,
            self.media_type,
            self.tier,
            self.flags,
            self.view,
            self.seq,
            self.state_id,
            self.width,
            self.height,
            min(self.queued_us if queued_us is None else queued_us, most),
            self.place,
            *self.region,
            self.window_center,
            self.window_width,
            min(self.render_us, most),
            min(self.encode_us, most),
        )
        return head + self.payload

    @classmethod
    def unpack(cls, message: bytes) -> Frame:
        """Read a binary message.

        Raises
        ------
        ProtocolError
            `frame.malformed`.
        """
        try:
            magic, version, media, tier, flags, view, seq, state_id, width, height, queued, place, *rest = (
                FRAME_HEADER.unpack_from(message)
            )
            left, top, across, down, center, spread, render, encode = rest
            if (magic, version) != (FRAME_MAGIC, VERSION):
                raise ValueError
            return cls(
                MediaType(media), Tier(tier), FrameFlag(flags), view, seq, state_id, width, height, place,
                (left, top, across, down), center, spread, queued, render, encode, message[FRAME_HEADER.size :],
            )  # fmt: skip
        except (struct.error, ValueError):
            raise ProtocolError("frame.malformed", "The message is no frame of this version.") from None


def dump_message(message: ClientMessage | ServerMessage) -> str:
    """Return a message as JSON text."""
    return json.dumps(_plain(message), separators=(",", ":"), allow_nan=False)


def pack_message(message: ServerMessage) -> str | bytes:
    """Return a pod's message as it travels: JSON text, or packed where that is long."""
    text = dump_message(message)
    if len(text) < PACKED_FROM_BYTES:
        return text
    return bytes([PACKED_MAGIC]) + zlib.compress(text.encode(), 6)


def unpack_message(message: bytes) -> str:
    """Return the JSON of a packed message.

    Raises
    ------
    ProtocolError
        `frame.malformed`.
    """
    try:
        if message[:1] != bytes([PACKED_MAGIC]):
            raise ValueError
        return zlib.decompress(message[1:]).decode()
    except (ValueError, zlib.error):
        raise ProtocolError("frame.malformed", "The message is no packed text.") from None


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value

"""The render stream, version 1: what a viewer and a render pod say to each other.

One WebSocket for one series of one viewing session, at `/t/<tenant>/render/v1/<series id>` of the site's own origin.
Text messages are JSON objects with a `type`; binary messages are frames: a fixed header, then an encoded picture, or
long texts packed (`PACKED_MAGIC`).

1. The client opens the socket and sends `hello` with a ticket (never in the address). The pod redeems the ticket and
   answers `welcome`, or `bye` with a code and closes.
2. The client sends `view` with its newest *absolute* state whenever that changes. The pod keeps one state a view, the
   newest, and renders nothing older. `state_id` grows; frames say which state they show.
3. A frame is acknowledged (`ack`) when it is on the screen, or when it was dropped unseen. At most two frames are
   unacknowledged at a time; goodput and round trip are measured from acknowledgements, and choose the tier.
4. When a view's state has rested for 150 ms and nothing says that it moves, the pod sends a settled frame. A lossless
   frame comes when the state asks for it.
5. `prefetch` of a state lists the places wanted next, most wanted first. It is part of the state: a newer list
   replaces it, so that reversing the scroll cancels what lay ahead. Prefetched frames carry a flag and the tier of motion.
6. After a broken connection the client gets a new ticket, connects again, to any pod, and sends its newest states.

Greyscale frames are one channel and never pass through a colour conversion; overlay geometry of 2D views travels by
REST and is drawn by the client. Lengths are millimetres in the patient's LPS frame, pixel regions have edges at integers.
"""

from __future__ import annotations

import base64
import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum, IntFlag, StrEnum
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

VERSION: Final = 1
SUBPROTOCOL: Final = "gantry-render.v1"
MAX_MESSAGE_BYTES: Final = 32 * 1024
"""A text message from a client; larger ones close the socket."""
MAX_VIEWS: Final = 16
MAX_PREFETCH: Final = 64
MAX_SIDE_PIXELS: Final = 4096
IN_FLIGHT: Final = 2
SETTLE_AFTER_MS: Final = 150
LEASE_EVERY_S: Final = 2.0
"""How often a pod asks whether its sessions still may be; a session without an answer for `LEASE_ENDS_S` is closed."""
LEASE_ENDS_S: Final = 4.5
TICKET_LIVES_S: Final = 60
POD_NAME: Final = r"[A-Za-z0-9._:-]{1,64}"
"""What a pod may be called: leases go by it."""
TICKET_REFUSALS: Final = ("ticket.forged", "ticket.expired", "ticket.other_series")
"""For what a pod refuses a ticket by itself, and tells the control plane, which records it."""
MAX_REPORTED_TICKETS: Final = 32
"""So many at once; further ones are counted with one of their kind."""

Vector: TypeAlias = tuple[float, float, float]


class ProtocolError(Exception):
    """A message that this protocol does not know.

    Parameters
    ----------
    code
        `message.malformed`, `message.unknown`, `frame.malformed`, `ticket.malformed`.
    sentence
        What is wrong, without the message's content.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class CloseCode(IntEnum):
    """Why a pod closes a socket; `bye` says it in a sentence first."""

    MALFORMED = 4400
    SIGNED_OUT = 4401
    REFUSED = 4403
    ABSENT = 4404
    TICKET_REFUSED = 4410
    TOO_LARGE = 4413
    BUSY = 4429
    FAILED = 4500
    LEASE_LOST = 4503
    DRAINING = 4504

    @property
    def may_retry(self) -> bool:
        """Whether a new ticket may lead to another pod or a better moment."""
        return self in {CloseCode.TICKET_REFUSED, CloseCode.BUSY, CloseCode.LEASE_LOST, CloseCode.DRAINING}


class MediaType(IntEnum):
    """How a frame's picture is encoded."""

    JPEG = 1
    PNG = 2
    WEBP = 3
    AVIF = 4

    @property
    def mime(self) -> str:
        """Name for `Accept` and `Blob`."""
        return f"image/{self.name.lower()}"


class Tier(IntEnum):
    """How good a frame is. Tiers 0 to 2 are what the link bears while things move; 3 is exact."""

    T0 = 0
    """Long side at most 256, JPEG q40."""
    T1 = 1
    """Long side at most 512, JPEG q50."""
    T2 = 2
    """All pixels that the view shows, JPEG q90 or AVIF."""
    T3 = 3
    """All pixels of the source, lossless."""


class FrameFlag(IntFlag):
    """What else there is to know of a frame."""

    PREFETCHED = 1
    SETTLED = 2
    LOSSLESS = 4
    COLOUR = 8
    INVERTED = 16
    """The picture was inverted on the reader's wish (MONOCHROME1 alone does not set it)."""


class SlabMode(StrEnum):
    """How the layers of a slab become one value."""

    NONE = "none"
    MIP = "mip"
    MINIP = "minip"
    AVERAGE = "average"


# What a client sends.


@dataclass(frozen=True, slots=True)
class Voi:
    """How values become grey.

    `kind`: `default` (what the image itself says), `window` with centre and width in modality units, `lut` with the
    number of one of the image's VOI lookup tables, `auto` (percentiles of what is shown).
    """

    kind: Literal["default", "window", "lut", "auto"] = "default"
    center: float | None = None
    width: float | None = None
    function: Literal["linear", "linear-exact", "sigmoid"] = "linear"
    index: int = 0


@dataclass(frozen=True, slots=True)
class StackState:
    """One frame of the series as it was acquired.

    `region` is the part of the source that is on the screen, (left, top, width, height) in source pixels, or None for
    all; `size` is how many device pixels that part covers. Rotating and mirroring are the client's.
    """

    frame: int
    size: tuple[int, int]
    region: tuple[float, float, float, float] | None = None
    voi: Voi = Voi()
    invert: bool = False
    kind: Literal["stack"] = "stack"


@dataclass(frozen=True, slots=True)
class PlaneState:
    """A plane or slab through a volume; `center_lps_mm` is the middle of the picture, `spacing_mm` of a device pixel."""

    center_lps_mm: Vector
    row_lps: Vector
    column_lps: Vector
    spacing_mm: float
    size: tuple[int, int]
    slab_mm: float = 0.0
    slab_mode: SlabMode = SlabMode.NONE
    voi: Voi = Voi()
    invert: bool = False
    interpolation: Literal["linear", "nearest"] = "linear"
    segments: tuple[str, ...] = ()
    """Results whose regions are drawn into the plane (colour frames); usually empty, outlines are the client's."""
    kind: Literal["plane"] = "plane"


@dataclass(frozen=True, slots=True)
class CameraState:
    """The eye, as `gantry_render.scene.Camera` has it; `parallel_scale_mm` None is perspective."""

    position_lps_mm: Vector
    focal_point_lps_mm: Vector
    view_up_lps: Vector
    parallel_scale_mm: float | None = None
    view_angle_deg: float = 30.0


@dataclass(frozen=True, slots=True)
class VolumeState:
    """The volume in 3D."""

    camera: CameraState
    size: tuple[int, int]
    preset: str
    window_shift: float = 0.0
    window_scale: float = 1.0
    crop_low_ijk: Vector | None = None
    crop_high_ijk: Vector | None = None
    meshes: tuple[str, ...] = ()
    """Ids of the results (`ResultFacts.id`) whose surfaces are shown."""
    segments: tuple[str, ...] = ()
    mesh_opacity: float = 1.0
    kind: Literal["volume"] = "volume"


State: TypeAlias = StackState | PlaneState | VolumeState


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a connection."""

    ticket: str = field(repr=False)
    accept: tuple[str, ...] = ("image/jpeg", "image/png")
    type: Literal["hello"] = "hello"


@dataclass(frozen=True, slots=True)
class View:
    """The newest state of one view.

    `prefetch`: for a stack frame numbers, for a plane distances along its normal from the centre in millimetres.
    `moving`: a gesture is under way, so nothing settles yet. `holds`: tier of the picture of this very state that the
    viewer shows from its cache already, -1 for none; the pod sends only better ones.
    """

    view: int
    state_id: int
    state: State
    moving: bool = False
    quality: Literal["auto", "lossless"] = "auto"
    prefetch: tuple[float, ...] = ()
    holds: int = -1
    type: Literal["view"] = "view"


@dataclass(frozen=True, slots=True)
class Drop:
    """A view is no longer on the screen."""

    view: int
    type: Literal["drop"] = "drop"


@dataclass(frozen=True, slots=True)
class Ack:
    """A frame was painted, or dropped unseen.

    `held_ms`: how long it lay with the client before that. What the link bears is learned without it: a page that
    paints slowly is no slow link.
    """

    seq: int
    painted: bool = True
    held_ms: int = 0
    type: Literal["ack"] = "ack"


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask for the value under the cursor: source pixel of a frame, or a point of the volume."""

    id: int
    frame: int | None = None
    column: int = 0
    row: int = 0
    point_lps_mm: Vector | None = None
    type: Literal["probe"] = "probe"


@dataclass(frozen=True, slots=True)
class Ping:
    """Keeps proxies from closing a quiet socket; answered at once by `pong`."""

    type: Literal["ping"] = "ping"


ClientMessage: TypeAlias = Hello | View | Drop | Ack | Probe | Ping


# What a pod sends as text.


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """A window that an image names."""

    center: float
    width: float
    function: str = "linear"
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """One frame of the series, in the order of the pack."""

    sop_instance_uid: str
    frame: int
    """From 1, within the instance."""
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None = None
    """Between rows and between columns."""
    position_lps_mm: Vector | None = None
    orientation_lps: tuple[float, float, float, float, float, float] | None = None
    is_colour: bool = False
    is_reversed: bool = False
    """MONOCHROME1: low values are white."""
    is_lossy: bool = False
    windows: tuple[WindowFacts, ...] = ()
    luts: tuple[str, ...] = ()
    """Explanations of the VOI lookup tables."""
    code: str = ""
    sentence: str = ""
    """Why this frame cannot be shown; empty where it can."""


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """The grid of a series that is a volume; `lps_from_ijk` row by row, 16 numbers."""

    shape_kji: tuple[int, int, int]
    lps_from_ijk: tuple[float, ...]
    spacing_ijk_mm: Vector
    low: float
    high: float
    """1st and 99.9th percentile, for presets in units of the volume's own."""


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """A result that can be shown in the volume."""

    id: str
    label: str
    colour: tuple[float, float, float]
    is_reviewed: bool
    kind: Literal["mesh", "segmentation"]


@dataclass(frozen=True, slots=True)
class Welcome:
    """The series, and what this pod can do with it."""

    session: str
    frames: tuple[FrameFacts, ...]
    modality: str
    unit: str
    frame_of_reference_uid: str
    volume: VolumeFacts | None
    no_volume_code: str
    no_volume_sentence: str
    """Why MPR and 3D are not offered; empty where they are."""
    presets: tuple[str, ...]
    results: tuple[ResultFacts, ...]
    engine: str
    version: int = VERSION
    type: Literal["welcome"] = "welcome"


@dataclass(frozen=True, slots=True)
class Progress:
    """Which frames lie decoded in the pod: pairs of first and beyond; `is_volume_ready` opens MPR and 3D."""

    loaded: tuple[tuple[int, int], ...]
    is_volume_ready: bool
    type: Literal["progress"] = "progress"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something is not as it should be, and the session goes on: the store is slow, a frame cannot be shown."""

    code: str
    sentence: str
    view: int | None = None
    place: float | None = None
    is_over: bool = False
    """What this code spoke of has passed."""
    type: Literal["notice"] = "notice"


@dataclass(frozen=True, slots=True)
class Probed:
    """A value, None outside the image; `text` is fit to be shown, with its unit."""

    id: int
    value: float | None
    text: str
    type: Literal["probed"] = "probed"


@dataclass(frozen=True, slots=True)
class Link:
    """What the pod measured of the link, for the viewer's corner."""

    tier: int
    goodput_kbit_s: float
    round_trip_ms: float
    type: Literal["link"] = "link"


@dataclass(frozen=True, slots=True)
class Bye:
    """The pod closes; `retry_after_ms` None means that trying again does not help."""

    code: str
    sentence: str
    retry_after_ms: int | None = None
    type: Literal["bye"] = "bye"


@dataclass(frozen=True, slots=True)
class Pong:
    type: Literal["pong"] = "pong"


ServerMessage: TypeAlias = Welcome | Progress | Notice | Probed | Link | Bye | Pong


PACKED_MAGIC: Final = 0x5A
PACKED_FROM_BYTES: Final = 2048
"""A pod's text message from this size on travels as a binary message: `PACKED_MAGIC`, then its JSON as a zlib stream.
The welcome of 500 slices is 200 KB of JSON, two seconds of a slow link, and 15 KB packed."""


# Frames.

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


def parse_client_message(text: str) -> ClientMessage:
    """Read a client's text message; every number is checked to be finite and in range.

    Raises
    ------
    ProtocolError
        `message.malformed`, `message.unknown`.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        raise ProtocolError("message.malformed", "The message is too long.")
    try:
        raw = json.loads(text, parse_constant=_refuse_constant)
        kind = raw["type"]
        parse = _PARSERS.get(kind)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProtocolError("message.malformed", "A message is a JSON object with a type.") from None
    if parse is None:
        raise ProtocolError("message.unknown", "There is no message of this type.")
    try:
        return parse(_Reader(raw))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ProtocolError(
            "message.malformed", f"A {kind} message lacks something, or holds what it may not."
        ) from None


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


class _Reader:
    """One JSON object, read by type and range."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        if not isinstance(raw, dict):
            raise TypeError
        self._raw = raw

    def has(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self._raw.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(name)
        return value

    def real(self, name: str, low: float = -1e9, high: float = 1e9, default: float | None = None) -> float:
        return _real(self._raw.get(name, default), low, high)

    def flag(self, name: str) -> bool:
        value = self._raw.get(name, False)
        if not isinstance(value, bool):
            raise TypeError(name)
        return value

    def text(self, name: str, most: int, default: str | None = None) -> str:
        value = self._raw.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(name)
        return value

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> Any:
        value = self._raw.get(name, default)
        if value not in allowed:
            raise ValueError(name)
        return value

    def list_of(self, name: str, most: int) -> list[Any]:
        value = self._raw.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(name)
        return value

    def reals(self, name: str, count: int) -> Any:
        value = self._raw[name]
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(name)
        return tuple(_real(item, -1e9, 1e9) for item in value)

    def inner(self, name: str) -> _Reader:
        return _Reader(self._raw[name])

    def ids(self, name: str) -> tuple[str, ...]:
        return tuple(str(UUID(item)) for item in self.list_of(name, 64))

    def size(self) -> tuple[int, int]:
        width, height = self.reals("size", 2)
        if not (1 <= width <= MAX_SIDE_PIXELS and 1 <= height <= MAX_SIDE_PIXELS):
            raise ValueError("size")
        return int(width), int(height)


def _real(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError
    return number


def _parse_voi(message: _Reader) -> Voi:
    if not message.has("voi"):
        return Voi()
    raw = message.inner("voi")
    kind = raw.one_of("kind", ("default", "window", "lut", "auto"), "default")
    function = raw.one_of("function", ("linear", "linear-exact", "sigmoid"), "linear")
    if kind != "window":
        return Voi(kind, index=raw.whole("index", 0, 255, 0))
    least = 1.0 if function == "linear" else 1e-9
    return Voi(kind, raw.real("center"), raw.real("width", least), function)


def _parse_state(raw: _Reader) -> State:
    kind = raw.one_of("kind", ("stack", "plane", "volume"), "")
    if kind == "stack":
        region = raw.reals("region", 4) if raw.has("region") else None
        if region is not None and not (region[2] > 0 and region[3] > 0):
            raise ValueError("region")
        return StackState(raw.whole("frame", 0, 1 << 24), raw.size(), region, _parse_voi(raw), raw.flag("invert"))
    if kind == "plane":
        return PlaneState(
            raw.reals("center_lps_mm", 3),
            raw.reals("row_lps", 3),
            raw.reals("column_lps", 3),
            raw.real("spacing_mm", 1e-4, 1e4),
            raw.size(),
            raw.real("slab_mm", 0, 1e4, 0.0),
            SlabMode(raw.text("slab_mode", 16, "none")),
            _parse_voi(raw),
            raw.flag("invert"),
            raw.one_of("interpolation", ("linear", "nearest"), "linear"),
            raw.ids("segments"),
        )
    eye = raw.inner("camera")
    camera = CameraState(
        eye.reals("position_lps_mm", 3),
        eye.reals("focal_point_lps_mm", 3),
        eye.reals("view_up_lps", 3),
        eye.real("parallel_scale_mm", 1e-3, 1e6) if eye.has("parallel_scale_mm") else None,
        eye.real("view_angle_deg", 1, 160, 30.0),
    )
    has_crop = raw.has("crop_low_ijk") and raw.has("crop_high_ijk")
    return VolumeState(
        camera,
        raw.size(),
        raw.text("preset", 64),
        raw.real("window_shift", default=0.0),
        raw.real("window_scale", 1e-3, 1e3, 1.0),
        raw.reals("crop_low_ijk", 3) if has_crop else None,
        raw.reals("crop_high_ijk", 3) if has_crop else None,
        raw.ids("meshes"),
        raw.ids("segments"),
        raw.real("mesh_opacity", 0, 1, 1.0),
    )


def _parse_view(raw: _Reader) -> View:
    return View(
        raw.whole("view", 0, MAX_VIEWS - 1),
        raw.whole("state_id", 0, 0xFFFFFFFF),
        _parse_state(raw.inner("state")),
        raw.flag("moving"),
        raw.one_of("quality", ("auto", "lossless"), "auto"),
        tuple(_real(item, -1e9, 1e9) for item in raw.list_of("prefetch", MAX_PREFETCH)),
        raw.whole("holds", -1, 3, -1),
    )


def _parse_hello(raw: _Reader) -> Hello:
    accept = tuple(str(item)[:32] for item in raw.list_of("accept", 8)) or ("image/jpeg", "image/png")
    return Hello(raw.text("ticket", 2048), accept)


def _parse_probe(raw: _Reader) -> Probe:
    most = 1 << 24
    return Probe(
        raw.whole("id", 0, 0xFFFFFFFF),
        raw.whole("frame", 0, most) if raw.has("frame") else None,
        raw.whole("column", 0, most, 0),
        raw.whole("row", 0, most, 0),
        raw.reals("point_lps_mm", 3) if raw.has("point_lps_mm") else None,
    )


_PARSERS: Final[Mapping[str, Callable[[_Reader], ClientMessage]]] = {
    "hello": _parse_hello,
    "view": _parse_view,
    "drop": lambda raw: Drop(raw.whole("view", 0, MAX_VIEWS - 1)),
    "ack": lambda raw: Ack(raw.whole("seq", 0, 0xFFFFFFFF), raw.flag("painted"), raw.whole("held_ms", 0, 3_600_000, 0)),
    "probe": _parse_probe,
    "ping": lambda raw: Ping(),
}


# Tickets: the control plane signs, a pod checks, the control plane redeems once.


@dataclass(frozen=True, slots=True)
class TicketClaims:
    """What a ticket says; `expires_at` is in seconds since 1970, `trace` the W3C traceparent of whoever asked for it."""

    ticket_id: UUID
    session_id: UUID
    tenant_id: UUID
    series_id: UUID
    expires_at: int
    trace: str = ""


def write_claims(claims: TicketClaims) -> bytes:
    """Return the bytes that are signed."""
    return json.dumps(
        {
            "v": VERSION,
            "jti": str(claims.ticket_id),
            "sid": str(claims.session_id),
            "tenant": str(claims.tenant_id),
            "series": str(claims.series_id),
            "exp": claims.expires_at,
            **({"trace": claims.trace} if claims.trace else {}),
        },
        separators=(",", ":"),
    ).encode()


def join_ticket(claims: bytes, signature: bytes) -> str:
    """Return a ticket as text: claims and Ed25519 signature, both base64url, joined by a dot."""
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (claims, signature))


def split_ticket(ticket: str) -> tuple[bytes, bytes]:
    """Return the signed bytes and the signature, nothing checked yet.

    Raises
    ------
    ProtocolError
        `ticket.malformed`.
    """
    try:
        claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in ticket.split("."))
    except ValueError:
        raise ProtocolError("ticket.malformed", "This is no ticket.") from None
    return claims, signature


def read_claims(claims: bytes) -> TicketClaims:
    """Read signed bytes whose signature was checked.

    Raises
    ------
    ProtocolError
        `ticket.malformed`.
    """
    try:
        raw = json.loads(claims)
        if raw["v"] != VERSION:
            raise ValueError
        return TicketClaims(
            UUID(raw["jti"]),
            UUID(raw["sid"]),
            UUID(raw["tenant"]),
            UUID(raw["series"]),
            int(raw["exp"]),
            str(raw.get("trace", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ProtocolError("ticket.malformed", "This is no ticket.") from None

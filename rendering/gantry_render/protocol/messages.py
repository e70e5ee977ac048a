"""What is said: constants, states of views, and the messages of both sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag, StrEnum
from typing import Final, Literal, TypeAlias

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
    PREVIEW = 32
    """Drawn from half of the volume's resolution: the whole is not there yet, or does not fit this pod."""


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
    frame_time_ms: float | None = None
    """For how long each frame of a cine is to be shown, where its file says."""
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

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

from gantry_render.protocol.messages import (
    IN_FLIGHT,
    LEASE_ENDS_S,
    LEASE_EVERY_S,
    MAX_MESSAGE_BYTES,
    MAX_PREFETCH,
    MAX_REPORTED_TICKETS,
    MAX_SIDE_PIXELS,
    MAX_VIEWS,
    POD_NAME,
    SETTLE_AFTER_MS,
    SUBPROTOCOL,
    TICKET_LIVES_S,
    TICKET_REFUSALS,
    VERSION,
    Ack,
    Bye,
    CameraState,
    ClientMessage,
    CloseCode,
    Drop,
    FrameFacts,
    FrameFlag,
    Hello,
    Link,
    MediaType,
    Notice,
    Ping,
    PlaneState,
    Pong,
    Probe,
    Probed,
    Progress,
    ProtocolError,
    ResultFacts,
    ServerMessage,
    SlabMode,
    StackState,
    State,
    Tier,
    Vector,
    View,
    Voi,
    VolumeFacts,
    VolumeState,
    Welcome,
    WindowFacts,
)
from gantry_render.protocol.parsing import (
    CLIENT_MESSAGE_TYPES,
    parse_client_message,
)
from gantry_render.protocol.tickets import (
    TicketClaims,
    join_ticket,
    read_claims,
    split_ticket,
    write_claims,
)
from gantry_render.protocol.wire import (
    FRAME_HEADER,
    FRAME_MAGIC,
    PACKED_FROM_BYTES,
    PACKED_MAGIC,
    Frame,
    dump_message,
    pack_message,
    unpack_message,
)

__all__ = [
    "CLIENT_MESSAGE_TYPES",
    "FRAME_HEADER",
    "FRAME_MAGIC",
    "IN_FLIGHT",
    "LEASE_ENDS_S",
    "LEASE_EVERY_S",
    "MAX_MESSAGE_BYTES",
    "MAX_PREFETCH",
    "MAX_REPORTED_TICKETS",
    "MAX_SIDE_PIXELS",
    "MAX_VIEWS",
    "PACKED_FROM_BYTES",
    "PACKED_MAGIC",
    "POD_NAME",
    "SETTLE_AFTER_MS",
    "SUBPROTOCOL",
    "TICKET_LIVES_S",
    "TICKET_REFUSALS",
    "VERSION",
    "Ack",
    "Bye",
    "CameraState",
    "ClientMessage",
    "CloseCode",
    "Drop",
    "Frame",
    "FrameFacts",
    "FrameFlag",
    "Hello",
    "Link",
    "MediaType",
    "Notice",
    "Ping",
    "PlaneState",
    "Pong",
    "Probe",
    "Probed",
    "Progress",
    "ProtocolError",
    "ResultFacts",
    "ServerMessage",
    "SlabMode",
    "StackState",
    "State",
    "TicketClaims",
    "Tier",
    "Vector",
    "View",
    "Voi",
    "VolumeFacts",
    "VolumeState",
    "Welcome",
    "WindowFacts",
    "dump_message",
    "join_ticket",
    "pack_message",
    "parse_client_message",
    "read_claims",
    "split_ticket",
    "unpack_message",
    "write_claims",
]

"""The render stream's messages: what a client may say, what a frame carries, what a ticket holds."""

import contextlib
import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry_render import protocol
from gantry_render.protocol import (
    Ack,
    CameraState,
    Drop,
    Frame,
    FrameFlag,
    Hello,
    MediaType,
    Ping,
    PlaneState,
    Probe,
    ProtocolError,
    SlabMode,
    StackState,
    Tier,
    View,
    Voi,
    VolumeState,
    dump_message,
    parse_client_message,
)

_MESH = str(uuid4())
_SAID: list[protocol.ClientMessage] = [
    Hello("a.b", ("image/avif", "image/jpeg")),
    View(
        3,
        17,
        StackState(4, (512, 400), (10.0, 20.5, 100.0, 80.0), Voi("window", 40.0, 400.0), invert=True),
        moving=True,
    ),
    View(0, 1, StackState(0, (1, 1), voi=Voi("lut", index=2)), quality="lossless", prefetch=(1.0, 2.0)),
    View(
        1,
        2,
        PlaneState((1.0, 2.0, 3.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0.5, (256, 256), 20.0, SlabMode.MIP),
        prefetch=(-1.5, 1.5),
    ),
    View(
        2,
        3,
        VolumeState(
            CameraState((0.0, -500.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 200.0),
            (512, 512),
            "CT-Bone",
            crop_low_ijk=(0.0, 0.0, 0.0),
            crop_high_ijk=(9.0, 9.0, 9.0),
            meshes=(_MESH,),
        ),
    ),
    Drop(3),
    Ack(9, painted=True),
    Ack(10, painted=False),
    Probe(1, frame=3, column=4, row=5),
    Probe(2, point_lps_mm=(1.0, 2.0, 3.0)),
    Ping(),
]


@pytest.mark.parametrize("message", _SAID, ids=lambda message: message.type)
def test_a_client_message_survives_the_wire(message: protocol.ClientMessage) -> None:
    assert parse_client_message(dump_message(message)) == message


def _plane(**changes: object) -> str:
    view = json.loads(dump_message(_SAID[3]))
    return json.dumps({**view, "state": {**view["state"], **changes}})


def _view(**changes: object) -> str:
    state = {"kind": "stack", "frame": 1, "size": [64, 64], **changes}
    return json.dumps({"type": "view", "view": 0, "state_id": 1, "state": state})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"type": ["view"]}',
        "[" * 5000,
        '{"type":"ack","seq":-1,"painted":true}',
        '{"type":"ack","seq":1e400,"painted":true}',
        '{"type":"ack","seq":true,"painted":true}',
        '{"type":"drop","view":16}',
        '{"type":"probe","id":0,"point_lps_mm":[NaN,0,0]}',
        '{"type":"probe","id":0,"point_lps_mm":[1,2]}',
        _view(size=[0, 64]),
        _view(size=[64, 100000]),
        _view(frame=-1),
        _view(frame=1.5),
        _view(region=[0, 0, 0, 10]),
        _view(voi={"kind": "window", "center": 1}),
        _view(voi={"kind": "window", "center": 1, "width": 0}),
        _view(voi={"kind": "magic"}),
        _view(kind="hologram"),
        _view(invert="yes"),
        _plane(segments=[7]),
        _plane(segments=["no id"]),
        json.dumps({"type": "hello", "ticket": "x" * 3000}),
        json.dumps({"type": "ping", "padding": "x" * protocol.MAX_MESSAGE_BYTES}),
    ],
)
def test_a_message_is_refused_when_it_is_not_what_it_must_be(text: str) -> None:
    assert parse_client_message(_view()) and parse_client_message(_plane())  # the arrangement itself is sound
    with pytest.raises(ProtocolError) as refused:
        parse_client_message(text)
    assert refused.value.code == "message.malformed"


def test_a_message_is_unknown_when_its_type_is() -> None:
    with pytest.raises(ProtocolError) as refused:
        parse_client_message('{"type":"shout"}')
    assert refused.value.code == "message.unknown"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(_SAID), st.lists(st.tuples(st.integers(0, 30), _JSON), max_size=3))
def test_no_mutation_of_a_message_escapes_as_another_error(
    message: protocol.ClientMessage, changes: list[tuple[int, object]]
) -> None:
    raw = json.loads(dump_message(message))
    for at, value in changes:
        state = raw.get("state")
        inner = state if state and at % 2 and isinstance(state, dict) else raw
        keys = list(inner)
        inner[keys[at % len(keys)]] = value
    with contextlib.suppress(ProtocolError):
        parse_client_message(json.dumps(raw))


def test_a_frame_survives_the_wire() -> None:
    frame = Frame(
        MediaType.AVIF, Tier.T2, FrameFlag.SETTLED | FrameFlag.COLOUR, 3, 70_000, 9, 512, 400, -12.5,
        (1.5, 2.0, 300.0, 200.0), 40.0, 400.0, 10, 1 << 33, 30, b"picture",
    )  # fmt: skip
    there = Frame.unpack(frame.pack())
    assert there.render_us == 0xFFFFFFFF
    assert (there.media_type, there.flags, there.seq, there.place) == (frame.media_type, frame.flags, 70_000, -12.5)
    assert (there.region, there.payload) == (frame.region, b"picture")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        frame = Frame.unpack(data)
        assert data.startswith(bytes([protocol.FRAME_MAGIC, protocol.VERSION])) and frame.payload == data[72:]


def test_a_ticket_survives_the_wire() -> None:
    claims = protocol.TicketClaims(uuid4(), uuid4(), uuid4(), uuid4(), 1_700_000_000)
    signed, signature = protocol.split_ticket(protocol.join_ticket(protocol.write_claims(claims), bytes(64)))
    assert (protocol.read_claims(signed), signature) == (claims, bytes(64))


@given(st.text(max_size=60))
def test_text_that_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        protocol.read_claims(protocol.split_ticket(text)[0])
    assert refused.value.code == "ticket.malformed"


def test_a_key_does_not_show_in_a_hello() -> None:
    assert "secret" not in repr(Hello("secret"))

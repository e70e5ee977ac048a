"""Live events over the real socket: in order, once, to those who may know; with no doorbell but the rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from analysed import Loaded, analyse, complete, load_study
from gantry.agreements.public import Step, advance_agreement
from gantry.foundation.outbox import WORKLIST, emit, get_cursor, study_stream
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.identity.models import Session
from gantry.identity.public import end_all_sessions, session_digest
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Role
from gantry.studies.events import StudyChanged
from gantry.studies.public import refer_study
from gantry.tenancy.public import end_membership
from site_client import ORIGIN, Socket, by_token, sign_in
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def loaded(world: World) -> Loaded:
    return load_study(world, 1)


class Sockets:
    def __init__(self) -> None:
        self.opened: list[Socket] = []

    def open(self, world: World, role: Role = Role.RADIOLOGIST) -> Socket:
        socket = Socket(world.slug, sign_in(world.users[role]))
        assert socket.is_accepted()
        self.opened.append(socket)
        return socket


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    opened = Sockets()
    yield opened
    for socket in opened.opened:
        socket.close()


def say(world: World, loaded: Loaded, number: int, *streams: str) -> None:
    """Emit an event that can be told by its number."""
    with tenant_scope(world.system), unit_of_work():
        event = StudyChanged(study_id=loaded.study_id, state="receiving", revision=number)
        emit(event, streams=streams or (WORKLIST, study_stream(loaded.study_id)), clock=SYSTEM_CLOCK)


def numbers(socket: Socket, count: int) -> list[int]:
    messages = [socket.receive() for _ in range(count)]
    assert [one["type"] for one in messages] == ["event"] * count, messages
    return [one["data"]["revision"] for one in messages]


def test_event_arrives_without_redis(world: World, loaded: Loaded, sockets: Sockets) -> None:
    socket = sockets.open(world)
    assert socket.subscribe(WORKLIST)["type"] == "subscribed"
    say(world, loaded, 7)
    assert numbers(socket, 1) == [7]


def test_client_gets_what_it_missed_in_order_once(world: World, loaded: Loaded, sockets: Sockets) -> None:
    first = sockets.open(world)
    position = first.subscribe(WORKLIST)
    first.close()
    sockets.opened.clear()
    for number in range(1, 6):
        say(world, loaded, number)
    second = sockets.open(world)
    answer = second.subscribe(WORKLIST, epoch=position["epoch"], seq=position["seq"])
    assert (answer["type"], answer["seq"]) == ("subscribed", position["seq"])
    messages = [second.receive() for _ in range(5)]
    assert [one["data"]["revision"] for one in messages] == [1, 2, 3, 4, 5]
    assert [one["seq"] for one in messages] == list(range(position["seq"] + 1, position["seq"] + 6))
    say(world, loaded, 6)
    assert numbers(second, 1) == [6]
    assert second.is_silent(1.2)


def test_client_gets_nothing_old_when_it_does_not_say_where_it_was(
    world: World, loaded: Loaded, sockets: Sockets
) -> None:
    say(world, loaded, 1)
    socket = sockets.open(world)
    socket.subscribe(WORKLIST)
    say(world, loaded, 2)
    assert numbers(socket, 1) == [2]


@pytest.mark.parametrize("position", [{"epoch": str(uuid4()), "seq": 1}, {"seq": 10**12}, {"epoch": None, "seq": "x"}])
def test_client_is_told_to_fetch_anew_when_its_position_is_none(
    world: World, loaded: Loaded, sockets: Sockets, position: dict[str, Any]
) -> None:
    with tenant_scope(world.system), unit_of_work():
        cursor = get_cursor(WORKLIST)
    socket = sockets.open(world)
    answer = socket.subscribe(WORKLIST, **({"epoch": str(cursor.epoch)} | position))
    assert (answer["type"], answer["epoch"], answer["seq"]) == ("reset", str(cursor.epoch), cursor.seq)
    assert socket.receive()["type"] == "subscribed"
    say(world, loaded, 3)
    assert numbers(socket, 1) == [3]


def test_nonsense_position_breaks_nothing(world: World, loaded: Loaded, sockets: Sockets) -> None:
    with tenant_scope(world.system), unit_of_work():
        cursor = get_cursor(WORKLIST)
    socket = sockets.open(world)
    socket.subscribe(WORKLIST, epoch=str(cursor.epoch), seq=-(10**30))
    assert socket.receive()["type"] == "event"


def test_order_is_that_of_commits_when_a_transaction_commits_late(
    world: World, loaded: Loaded, sockets: Sockets
) -> None:
    from django.db import connections

    socket = sockets.open(world)
    socket.subscribe(WORKLIST)
    has_spoken, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with tenant_scope(world.system), unit_of_work():
                event = StudyChanged(study_id=loaded.study_id, state="receiving", revision=1)
                emit(event, streams=(WORKLIST,), clock=SYSTEM_CLOCK)
                has_spoken.set()
                assert may_commit.wait(10)
        finally:
            connections.close_all()

    def quick() -> None:
        try:
            say(world, loaded, 2, WORKLIST)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=slow), threading.Thread(target=quick)]
    threads[0].start()
    assert has_spoken.wait(10)
    threads[1].start()
    assert socket.is_silent(1.2)
    may_commit.set()
    for thread in threads:
        thread.join(10)
    assert numbers(socket, 2) == [1, 2]


def test_nothing_is_lost_when_many_speak_at_once(world: World, loaded: Loaded, sockets: Sockets) -> None:
    from django.db import connections

    socket = sockets.open(world)
    socket.subscribe(WORKLIST)

    def speak(base: int) -> None:
        try:
            for number in range(base, base + 10):
                say(world, loaded, number)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=speak, args=(base,)) for base in (100, 200, 300)]
    for thread in threads:
        thread.start()
    messages = [socket.receive() for _ in range(30)]
    for thread in threads:
        thread.join(10)
    sequence = [one["seq"] for one in messages]
    assert sequence == list(range(sequence[0], sequence[0] + 30))
    heard = [one["data"]["revision"] for one in messages]
    for base in (100, 200, 300):
        assert [one for one in heard if base <= one < base + 100] == list(range(base, base + 10))


def test_socket_closes_when_the_membership_ends(world: World, sockets: Sockets) -> None:
    socket = sockets.open(world)
    socket.subscribe(WORKLIST)
    with tenant_scope(world.system):
        end_membership(actor=world.system, user_id=world.users[Role.RADIOLOGIST])
    assert socket.receive(5) == {"type": "closed", "code": 4404}


def test_socket_closes_when_the_person_is_signed_out(world: World, sockets: Sockets) -> None:
    socket = sockets.open(world)
    socket.subscribe(WORKLIST)
    end_all_sessions(user_id=world.users[Role.RADIOLOGIST])
    assert socket.receive(5) == {"type": "closed", "code": 4401}


def test_socket_closes_when_the_agreement_is_suspended(world: World, sockets: Sockets) -> None:
    socket = sockets.open(world)
    socket.subscribe(WORKLIST)
    with tenant_scope(world.system):
        agreement_id = AgreementId(world.agreement_id or uuid4())
        advance_agreement(actor=world.system, agreement_id=agreement_id, step=Step.SUSPEND)
    assert socket.receive(5) == {"type": "closed", "code": 4403}


def test_open_socket_keeps_nobody_signed_in(world: World) -> None:
    session = sign_in(world.users[Role.RADIOLOGIST])
    digest = session_digest(session)
    socket = Socket(world.slug, session)
    assert socket.is_accepted()
    socket.subscribe(WORKLIST)
    earlier = SYSTEM_CLOCK.now().replace(year=SYSTEM_CLOCK.now().year)
    from datetime import timedelta

    Session.objects.filter(pk=digest).update(last_seen_at=earlier - timedelta(minutes=5))
    assert socket.is_silent(3.6)  # long enough to be asked again who this is
    assert Session.objects.get(pk=digest).last_seen_at == earlier - timedelta(minutes=5)
    socket.close()


def test_events_of_studies_that_a_reader_may_not_know_of_are_not_passed_on(
    world: World, loaded: Loaded, sockets: Sockets
) -> None:
    hidden = load_study(world, 1)
    with world.acting(Role.RADIOLOGIST) as actor:
        refer_study(actor=actor, study_id=loaded.study_id, user_id=world.users[Role.REFERRER])
    referrer = sockets.open(world, Role.REFERRER)
    assert referrer.subscribe(WORKLIST)["type"] == "subscribed"
    unknown = referrer.subscribe(study_stream(hidden.study_id))
    assert unknown["type"] == "error"
    assert {**unknown, "stream": ""} == {**referrer.subscribe(study_stream(uuid4())), "stream": ""}
    say(world, hidden, 1)
    say(world, loaded, 2)
    assert numbers(referrer, 1) == [2]
    assert referrer.is_silent(1.2)


def test_referrer_hears_nothing_of_results_before_they_are_accepted(world: World, sockets: Sockets) -> None:
    loaded = load_study(world, 12)
    with world.acting(Role.RADIOLOGIST) as actor:
        refer_study(actor=actor, study_id=loaded.study_id, user_id=world.users[Role.REFERRER])
    referrer, radiologist = sockets.open(world, Role.REFERRER), sockets.open(world)
    for socket in (referrer, radiologist):
        socket.subscribe(study_stream(loaded.study_id))
    result = analyse(loaded)
    path = f"/api/v1/findings/{result.finding_ids[0]}/review"
    by_token(world, Role.RADIOLOGIST).post(path, json={"decision": "reject", "reason": "no"})
    by_token(world, Role.RADIOLOGIST).post(path, json={"decision": "accept"})
    heard: dict[str, list[Any]] = {}
    for name, socket in (("referrer", referrer), ("radiologist", radiologist)):
        heard[name] = []
        while not heard[name] or heard[name][-1]["data"].get("review") != "accepted":
            heard[name].append(socket.receive())
    told = {one["event"] for one in heard["radiologist"]}
    assert {"analysis.changed.v1", "finding.reviewed.v1", "study.results_changed.v1"} <= told
    assert {one["event"] for one in heard["referrer"]} <= {"study.completed.v1", "study.results_changed.v1"}
    text = str(heard["referrer"])
    assert str(result.analysis_id) not in text
    assert "unreviewed" not in text
    assert "rejected" not in text


def test_nothing_runs_on_when_a_socket_goes_as_it_is_being_woken(world: World, loaded: Loaded) -> None:
    session = sign_in(world.users[Role.RADIOLOGIST])
    for _ in range(10):
        socket = Socket(world.slug, session)
        assert socket.is_accepted()
        socket.send(type="subscribe", stream=WORKLIST)
        assert socket.is_over_after_leaving()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://127.0.0.1:9999", f"{ORIGIN}.evil.example"]
)
def test_handshake_is_refused_when_the_page_is_not_ours(world: World, origin: str) -> None:
    session = sign_in(world.users[Role.RADIOLOGIST])
    own = Socket(world.slug, session)
    assert own.is_accepted()
    own.close()
    assert not Socket(world.slug, session, origin=origin).is_accepted()


def test_socket_closes_when_nobody_is_signed_in(world: World) -> None:
    socket = Socket(world.slug)
    assert socket.is_accepted()
    assert socket.receive() == {"type": "closed", "code": 4401}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        '"x"',
        "{}",
        "null",
        '{"type": ["x"]}',
        '{"type": "fly"}',
        '{"type":"subscribe","stream":{}}',
    ],
)
def test_nonsense_is_answered_with_an_error(world: World, sockets: Sockets, text: str) -> None:
    socket = sockets.open(world)
    socket.send_text(text)
    assert socket.receive()["type"] == "error"
    socket.send(type="ping")
    assert socket.receive() == {"type": "pong"}


def test_socket_closes_when_a_message_is_too_long(world: World) -> None:
    socket = Socket(world.slug, sign_in(world.users[Role.RADIOLOGIST]))
    assert socket.is_accepted()
    socket.send_text("x" * 70_000)
    assert socket.receive() == {"type": "closed", "code": 1009}


def test_study_stream_has_one_name(world: World, loaded: Loaded, sockets: Sockets) -> None:
    socket = sockets.open(world)
    assert socket.subscribe(study_stream(loaded.study_id))["type"] == "subscribed"
    for name in (
        f"study:{str(loaded.study_id).upper()}",
        f"study:{loaded.study_id.hex}",
        f"study:{{{loaded.study_id}}}",
    ):
        assert socket.subscribe(name)["type"] == "error"


def test_refused_subscription_is_recorded(trail_of: Any, sockets: Sockets) -> None:
    world = make_world(in_force=False)
    trail = trail_of(world)
    socket = sockets.open(world)
    assert socket.subscribe(WORKLIST)["type"] == "error"
    assert trail.actions() == ["find.refused"]


def test_unsubscribed_stream_is_silent(world: World, loaded: Loaded, sockets: Sockets) -> None:
    socket = sockets.open(world)
    socket.subscribe(WORKLIST)
    socket.send(type="unsubscribe", stream=WORKLIST)
    socket.send(type="ping")
    assert socket.receive() == {"type": "pong"}
    say(world, loaded, 1)
    assert socket.is_silent(1.5)


def test_completion_is_news_on_both_streams(world: World, loaded: Loaded, sockets: Sockets) -> None:
    socket = sockets.open(world)
    socket.subscribe(WORKLIST)
    socket.subscribe(study_stream(loaded.study_id))
    complete(loaded)
    events = [socket.receive() for _ in range(2)]
    assert {(one["stream"], one["event"]) for one in events} == {
        (WORKLIST, "study.completed.v1"), (study_stream(loaded.study_id), "study.completed.v1"),
    }  # fmt: skip

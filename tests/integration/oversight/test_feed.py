"""The feed to a hospital's own audit repository, against a real receiver of syslog over TLS on loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analysed import load_study
from gantry.audit.projections.atna import check_message
from gantry.audit.public import open_ledger
from gantry.foundation.scope import tenant_scope
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.decision import Refused
from gantry.kernel.errors import InvalidInputError
from gantry.kernel.vocabulary import MEMBER_ROLES, Role
from gantry.oversight.exports.feeding import FeedCard, get_feed, list_feeds, send_next, set_feed, stop_feed
from gantry.oversight.exports.syslog import Receiver as Target
from gantry.oversight.exports.syslog import ReceiverError, send
from ledger import sequence_all
from site_client import by_token
from syslog_receiver import Authority, Receiver, receiving
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

HEAD = re.compile(
    rb"<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ gantry (?P<slug>[!-~]+) DICOM\+RFC3881 "
    rb'\[meta sequenceId="(?P<sequence>\d+)"\] \xef\xbb\xbf(?P<message><AuditMessage>.*</AuditMessage>)',
    re.DOTALL,
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def repository(authority: Authority, tmp_path: Path) -> Iterator[Receiver]:
    with receiving(authority, tmp_path) as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _allowed(settings: Any) -> None:
    settings.FEED_HOSTS = frozenset({"127.0.0.1"})


@pytest.fixture
def world(database: None) -> World:
    world = make_world()
    loaded = load_study(world, 2)
    assert by_token(world, Role.RADIOLOGIST).get(f"/api/v1/studies/{loaded.study_id}").status_code == 200
    return world


def feed_to(world: World, receiver: Receiver, authority: Authority, **more: Any) -> None:
    with world.acting(Role.COMPLIANCE) as actor:
        set_feed(actor=actor, host="127.0.0.1", port=receiver.port, authorities_pem=authority.pem, **more)
    sequence_all()


def card(world: World) -> FeedCard:
    with world.acting(Role.COMPLIANCE) as actor:
        found = get_feed(actor=actor)
    assert found is not None
    return found


def send_all(world: World, **more: Any) -> int:
    with tenant_scope(world.system):
        return send_next(**more)


def size(world: World) -> int:
    return open_ledger(world.tenant_id, actor_id=world.users[Role.COMPLIANCE]).size


def sequences(receiver: Receiver) -> list[int]:
    found = []
    for frame in receiver.messages:
        head = HEAD.fullmatch(frame)
        assert head is not None, frame[:120]
        found.append(int(head["sequence"]))
    return found


def test_every_event_arrives_once_in_order_with_its_number(
    world: World, repository: Receiver, authority: Authority
) -> None:
    feed_to(world, repository, authority)
    total = size(world)
    assert send_all(world) == total
    assert list(dict.fromkeys(sequences(repository))) == list(range(1, total + 1))
    for frame in repository.messages:
        head = HEAD.fullmatch(frame)
        assert head is not None
        assert head["slug"].decode() == world.slug
        assert check_message(head["message"]) == []
    assert (card(world).next_index, card(world).failure) == (total, "")
    assert send_all(world) == 0


def test_what_comes_later_is_sent_from_where_the_feed_stood(
    world: World, repository: Receiver, authority: Authority
) -> None:
    feed_to(world, repository, authority)
    first = send_all(world, limit=3)
    assert first == 3
    by_token(world, Role.RADIOLOGIST).post("/api/v1/worklist/search", json={})
    sequence_all()
    assert send_all(world) == size(world) - 3
    assert list(dict.fromkeys(sequences(repository))) == list(range(1, size(world) + 1))


def test_batch_is_sent_again_when_its_end_was_not_seen(
    world: World, repository: Receiver, authority: Authority
) -> None:
    """The receiver dies in the middle: nothing is lost, and what it had comes again under the same numbers."""
    feed_to(world, repository, authority)
    repository.break_after = 2
    clock = ManualClock(SYSTEM_CLOCK.now())
    assert send_all(world, clock=clock) == 0
    assert card(world).next_index == 0
    assert card(world).failure
    had = list(repository.messages)
    repository.break_after = None
    assert send_all(world, clock=clock) == 0, "it is left alone for a while"
    clock.advance(timedelta(seconds=31))
    sequence_all()
    assert send_all(world, clock=clock) == size(world)
    again = repository.messages[len(had) :]
    assert again[: len(had)] == had
    assert list(dict.fromkeys(sequences(repository))) == list(range(1, size(world) + 1))


def test_nothing_is_sent_to_a_stranger(world: World, repository: Receiver, trail_of: Any) -> None:
    feed_to(world, repository, Authority())
    trail = trail_of(world)
    assert send_all(world) == 0
    assert repository.messages == []
    assert "certificate" in card(world).failure
    assert trail.actions() == ["audit.feed_failed"]


def test_we_prove_who_we_are_when_the_receiver_asks(world: World, authority: Authority, tmp_path: Path) -> None:
    ours = authority.issue("gantry")
    with receiving(authority, tmp_path, asks_for_certificate=True) as receiver:
        feed_to(world, receiver, authority)
        clock = ManualClock(SYSTEM_CLOCK.now())
        assert send_all(world, clock=clock) == 0
        feed_to(world, receiver, authority, certificate_pem=ours.certificate.decode(), private_key_pem=ours.key)
        assert send_all(world, clock=clock) == size(world)
    assert card(world).shows_certificate


def test_late_refusal_is_never_taken_for_an_end(authority: Authority, tmp_path: Path) -> None:
    """TLS 1.3 refuses a missing certificate after the client believes that it is in: whatever the timing, it is an error."""
    with receiving(authority, tmp_path, asks_for_certificate=True) as receiver:
        target = Target("127.0.0.1", receiver.port, authority.pem)
        for _ in range(25):
            with pytest.raises(ReceiverError):
                send(target, [b"5 hello"] * 3)
        assert receiver.messages == []


def test_feed_is_idle_when_it_was_stopped(world: World, repository: Receiver, authority: Authority) -> None:
    feed_to(world, repository, authority)
    assert world.tenant_id in list_feeds()
    with world.acting(Role.COMPLIANCE) as actor:
        stop_feed(actor=actor)
    assert world.tenant_id not in list_feeds()
    assert send_all(world) == 0


def test_only_hosts_that_the_operator_named_are_called(world: World, authority: Authority) -> None:
    for host in ("169.254.169.254", "localhost", "evil.example", ""):
        with world.acting(Role.COMPLIANCE) as actor, pytest.raises(InvalidInputError):
            set_feed(actor=actor, host=host, port=6514, authorities_pem=authority.pem)


@pytest.mark.parametrize(
    "wrong",
    [{"authorities_pem": "nonsense"}, {"certificate_pem": "x"}, {"certificate_pem": "x", "private_key_pem": b"y"}],
)
def test_certificates_are_looked_at_when_they_are_given(
    world: World, authority: Authority, wrong: dict[str, Any]
) -> None:
    with world.acting(Role.COMPLIANCE) as actor, pytest.raises(InvalidInputError):
        set_feed(actor=actor, host="127.0.0.1", port=6514, **({"authorities_pem": authority.pem} | wrong))


@pytest.mark.parametrize("role", [role for role in MEMBER_ROLES if role is not Role.COMPLIANCE])
def test_only_compliance_says_where_to(world: World, authority: Authority, role: Role) -> None:
    with world.acting(role) as actor, pytest.raises(Refused):
        set_feed(actor=actor, host="127.0.0.1", port=6514, authorities_pem=authority.pem)


def test_feed_is_set_shown_and_stopped_by_rest(world: World, repository: Receiver, authority: Authority) -> None:
    officer = by_token(world, Role.COMPLIANCE)
    assert officer.get("/api/v1/audit/feed").json() == {"feed": None}
    body = {"host": "127.0.0.1", "port": repository.port, "authorities_pem": authority.pem}
    answer = officer.request("PUT", "/api/v1/audit/feed", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["feed"]["next_index"] == 0
    assert officer.request("DELETE", "/api/v1/audit/feed").status_code == 204
    assert officer.get("/api/v1/audit/feed").json()["feed"]["is_enabled"] is False

"""Reading the ledger: exact lines, filters, pages, proofs, sealed content; and the hot path that fills it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.db import connection

from gantry.audit import ledger as reading
from gantry.audit.line import LedgerEvent, leaf_hash
from gantry.audit.merkle import Frontier, check_consistency
from gantry.audit.public import (
    Entry,
    Kind,
    LedgerEmptyError,
    LedgerFilter,
    Outcome,
    open_ledger,
    parse_line,
    record,
    verifier_source,
)
from gantry.audit.sealing import audit_key_id
from gantry.audit.verify import MemoryExport, collapse, decompose, verify
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.clock import ManualClock
from gantry.kernel.vocabulary import Role
from gantry.vault.public import KeyDestroyedError, get_vault
from ledger import connect, enter, sequence_all
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENTS = [UUID(int=number, version=4) for number in range(1, 4)]


@pytest.fixture(scope="module")
def world(database: None) -> World:
    """A tenant with 60 searches, one a minute; each names some patients, every tenth has its raw query sealed."""
    world = make_world()
    for role in (Role.RADIOLOGIST, Role.SURGEON):
        with world.acting(role) as actor:
            for number in range(30):
                with unit_of_work():
                    entry = Entry(
                        kind=Kind.QUERY,
                        action="studies.searched",
                        outcome=Outcome.SUCCESS if number % 5 else Outcome.REFUSED,
                        patients=tuple(PATIENTS[: number % 4]),
                        sealed=f"PatientName=Geheim^{number}".encode() if number % 10 == 0 else b"",
                    )
                    minute = number + (30 if role is Role.SURGEON else 0)
                    record(actor=actor, entry=entry, clock=ManualClock(START + timedelta(minutes=minute)))
    sequence_all()
    return world


def events(world: World, wanted: LedgerFilter | None = None, **given: int) -> list[LedgerEvent]:
    ledger = open_ledger(world.tenant_id, actor_id=uuid4())
    found = list(ledger.iter_events(wanted or LedgerFilter(), **given))
    for line, event in found:
        assert parse_line(line) == event
    if not given:
        assert ledger.count(wanted or LedgerFilter()) == len(found)
    return [event for _, event in found]


def test_lines_hash_to_the_root_that_was_signed(world: World) -> None:
    ledger = open_ledger(world.tenant_id, actor_id=uuid4())
    tree = Frontier()
    for line, event in ledger.iter_events():
        assert event.index == tree.size
        tree.append(leaf_hash(line))
    assert (tree.size, tree.root()) == (ledger.size, ledger.checkpoint.root)


def test_filters_narrow(world: World) -> None:
    searches = events(world, LedgerFilter(actions=frozenset({"studies.searched"})))
    assert len(searches) == 60
    radiologist = world.users[Role.RADIOLOGIST]
    for wanted, count in (
        (LedgerFilter(role="surgeon"), 30),
        (LedgerFilter(actor_id=radiologist), 30),
        (LedgerFilter(kinds=frozenset({Kind.QUERY})), 60),
        (LedgerFilter(kinds=frozenset({Kind.QUERY}), outcomes=frozenset({Outcome.REFUSED})), 12),
        (LedgerFilter(since=START + timedelta(minutes=10), until=START + timedelta(minutes=20)), 10),
        (LedgerFilter(patient=PATIENTS[2]), 14),
        (LedgerFilter(patient=PATIENTS[2], role="surgeon", until=START + timedelta(minutes=40)), 2),
        (LedgerFilter(patient=uuid4()), 0),
        (LedgerFilter(study_id=uuid4()), 0),
        (LedgerFilter(address="192.0.2.1"), 0),
        (LedgerFilter(address="127.0.0.1", purpose="TREAT", activity="view"), 0),
        (LedgerFilter(since=START + timedelta(days=400)), 0),
    ):
        assert len(events(world, wanted)) == count, wanted


def test_patients_events_are_counted_without_gaps(world: World) -> None:
    for patient in PATIENTS:
        counters = [
            one.counter
            for event in events(world, LedgerFilter(patient=patient))
            for one in event.patients
            if one.pseudonym == patient
        ]
        assert counters == list(range(1, len(counters) + 1))


def test_reading_goes_on_where_it_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 7)
    whole = events(world)
    assert [event.index for event in whole] == list(range(len(whole)))
    assert events(world, after_index=whole[20].index) == whole[21:]
    assert events(world, first=5, end=33) == whole[5:33]
    some = LedgerFilter(patient=PATIENTS[1])
    assert events(world, some, after_index=events(world, some)[8].index) == events(world, some)[9:]


def test_range_of_dates_is_the_least_that_holds_them(world: World) -> None:
    ledger = open_ledger(world.tenant_id, actor_id=uuid4())
    since, until = START + timedelta(minutes=10), START + timedelta(minutes=20)
    inside = [event.index for event in events(world) if since <= event.occurred_at < until]
    assert ledger.range_of(since, until) == (inside[0], inside[-1] + 1)
    assert ledger.range_of(None, None) == (0, ledger.size)
    assert ledger.range_of(START + timedelta(days=9000), None) == (0, 0)


def test_ledger_stays_at_its_checkpoint() -> None:
    world = make_world()
    sequence_all()
    ledger = open_ledger(world.tenant_id, actor_id=uuid4())
    with tenant_scope(world.system), unit_of_work():
        record(actor=world.system, entry=Entry(kind=Kind.CONFIGURATION, action="member.ended"))
    sequence_all()
    later = open_ledger(world.tenant_id, actor_id=uuid4())
    assert (later.size, len(list(ledger.iter_events()))) == (ledger.size + 1, ledger.size)
    earlier = open_ledger(world.tenant_id, actor_id=uuid4(), size=ledger.size)
    assert earlier.checkpoint == ledger.checkpoint == later.earlier_checkpoints()[0]
    check_consistency(
        ledger.size, later.size, ledger.checkpoint.root, later.checkpoint.root, later.consistency(ledger.size)
    )


def test_gaps_are_what_the_verifier_wants(world: World) -> None:
    ledger = open_ledger(world.tenant_id, actor_id=uuid4())
    leaves = [leaf_hash(line) for line, _ in ledger.iter_events()]
    for first, after in ((0, 0), (0, ledger.size), (3, 17), (16, 32)):
        hashes = list(ledger.iter_subtree_hashes(first, after))
        assert b"".join(hashes) == ledger.gaps().cover(first, after)
        assert [node[:2] for node in collapse(first, leaves[first:after])] == list(decompose(first, after))
        assert [node[2] for node in collapse(first, leaves[first:after])] == hashes


def test_log_without_a_checkpoint_says_so(world: World) -> None:
    with pytest.raises(LedgerEmptyError):
        open_ledger(uuid4(), actor_id=uuid4())
    with pytest.raises(LedgerEmptyError):
        open_ledger(world.tenant_id, actor_id=uuid4(), size=10**9)


def test_sealed_content_is_nowhere_in_clear_and_opens_for_the_auditor(world: World) -> None:
    ledger = open_ledger(world.tenant_id, actor_id=uuid4())
    sealed = [event for event in events(world) if event.sealed_sha256]
    assert len(sealed) == 6
    assert ledger.verbatim(sealed[1]) == b"PatientName=Geheim^10"
    assert ledger.verbatim(events(world)[0]) is None
    with connect("auditor") as auditor, auditor.transaction():
        enter(auditor, world.tenant_id)
        rows = auditor.execute("select e::text, e.sealed from audit_auditevent e").fetchall()
    assert all("Geheim" not in text and b"Geheim" not in (box or b"") for text, box in rows)
    assert len({event.sealed_sha256 for event in sealed}) == 6


def test_month_of_sealed_content_can_be_destroyed_and_the_log_still_verifies(world: World) -> None:
    own = make_world()
    with tenant_scope(own.system), unit_of_work():
        entry = Entry(kind=Kind.QUERY, action="studies.searched", sealed=b"Geheim")
        record(actor=own.system, entry=entry, clock=ManualClock(START))
    sequence_all()
    (event,) = events(own, LedgerFilter(kinds=frozenset({Kind.QUERY})))
    get_vault().keys.destroy_key(own.tenant_id, audit_key_id(own.tenant_id, START))
    with pytest.raises(KeyDestroyedError):
        open_ledger(own.tenant_id, actor_id=uuid4()).verbatim(event)
    test_lines_hash_to_the_root_that_was_signed(own)


@pytest.mark.parametrize("entry", [
    Entry(kind=Kind.CONFIGURATION, action="member.ended"),
    Entry(kind=Kind.QUERY, action="studies.searched", patients=tuple(PATIENTS), sealed=b"raw"),
], ids=["plain", "full"])  # fmt: skip
def test_recording_is_one_statement(tmp_path: Path, entry: Entry) -> None:
    world = make_world()
    with tenant_scope(world.system), unit_of_work(), (tmp_path / "trace").open("wb") as trace:
        connection.connection.pgconn.trace(trace.fileno())
        record(actor=world.system, entry=entry)
        connection.connection.pgconn.untrace()
    sent = [line.split("\t")[3] for line in (tmp_path / "trace").read_text().splitlines() if line.split("\t")[1] == "F"]
    assert sent.count("Execute") == sent.count("Sync") == 1
    assert "Query" not in sent


def test_verifier_that_is_shipped_is_the_one_that_is_tested() -> None:
    assert b"def verify(" in verifier_source()
    assert verify(MemoryExport({})).status == 1

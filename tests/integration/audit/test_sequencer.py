"""The sequencer: every committed event once, in its place, whatever happens meanwhile; never a signature too much."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from embedded_stack import wait_until
from gantry.audit.checkpoints import open_tree
from gantry.audit.copies import DirectoryCopies, MemoryCopies
from gantry.audit.inspection import adopt_cluster, inspect_logs, reopen_log
from gantry.audit.merkle import check_consistency
from gantry.audit.notes import Checkpoint, require_signature
from gantry.audit.public import (
    PLATFORM_LOG,
    Kind,
    Outcome,
    find_signature,
    ledger_status,
    open_ledger,
    record_platform,
    request_checkpoint,
    request_patient_count,
    request_signature,
)
from gantry.audit.sequencer import Sequencer, SequencerConfig, run_sequencer
from gantry.audit.sequencing import WrongClusterError
from gantry.foundation.scope import tenant_scope
from ledger import (
    INSTALLATION,
    as_owner_of,
    config,
    connect,
    insert_event,
    places_of,
    sequence_all,
    sequencer,
    size_of,
)
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    found = make_world()
    sequence_all()
    return found


def commit(tenant_id: UUID, **given: Any) -> UUID:
    with connect("app") as app, app.transaction():
        return insert_event(app, tenant_id, **given)


def ids_of(tenant_id: UUID) -> list[UUID]:
    return [event_id for _, event_id, _ in places_of(tenant_id)]


def test_events_are_numbered_without_gaps_in_the_log_and_for_each_patient(world: World) -> None:
    first, second = uuid4(), uuid4()
    before = len(places_of(world.tenant_id))
    wanted = [
        commit(world.tenant_id, patients=patients)
        for patients in ([first], [], [first, second], [second], [second, first])
    ]
    sequence_all()
    places = places_of(world.tenant_id)[before:]
    assert [place[0] for place in places] == list(range(before, before + 5))
    assert [place[1] for place in places] == wanted
    assert [place[2] for place in places] == [[1], [], [2, 1], [2], [3, 3]]


def test_nothing_is_numbered_before_it_is_committed_and_nothing_late_is_missed(world: World) -> None:
    with connect("app") as slow, sequencer() as leader:
        with slow.transaction():
            late = insert_event(slow, world.tenant_id)
            early = [commit(world.tenant_id) for _ in range(3)]
            leader.drain()
            assert ids_of(world.tenant_id)[-3:] == early
            early.append(commit(world.tenant_id))
            leader.drain()
            assert late not in ids_of(world.tenant_id)
        leader.drain()
        after = commit(world.tenant_id)
        leader.drain()
    assert ids_of(world.tenant_id)[-6:] == [*early, late, after]


def test_event_that_is_rolled_back_leaves_no_gap(world: World) -> None:
    with connect("app") as app:
        with app.transaction(force_rollback=True):
            gone = insert_event(app, world.tenant_id)
        with app.transaction():
            with app.transaction(force_rollback=True):
                half = insert_event(app, world.tenant_id)
            kept = insert_event(app, world.tenant_id)
    sequence_all()
    places = places_of(world.tenant_id)
    assert [place[0] for place in places] == list(range(len(places)))
    assert places[-1][1] == kept
    assert not {gone, half} & set(ids_of(world.tenant_id))


class Writers:
    """People who work at the same time; some of their transactions fail, some wait."""

    def __init__(self, tenants: Sequence[UUID], count: int, events: int, *, slowness: float = 0.2) -> None:
        self.kept: list[list[UUID]] = [[] for _ in range(count)]
        self.dropped: set[UUID] = set()
        self.patients = [uuid4() for _ in range(5)]
        self._tenants, self._events, self._slowness = tenants, events, slowness
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(60)

    def stop(self) -> None:
        """Have everybody stop after the transaction in hand."""
        self._is_over.set()

    @property
    def are_writing(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _write(self, number: int) -> None:
        chance = random.Random(number)
        tenant_id = self._tenants[number % len(self._tenants)]
        with connect("app") as app:
            for _ in range(self._events):
                if self._is_over.is_set():
                    return
                patients = chance.sample(self.patients, chance.randrange(3))
                is_kept, some = chance.random() < 0.8, []
                try:
                    with app.transaction():
                        some = [
                            insert_event(app, tenant_id, patients=patients) for _ in range(chance.choice([1, 1, 3]))
                        ]
                        if chance.random() < self._slowness:
                            app.execute("select pg_sleep(0.02)")
                        if not is_kept:
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    self.dropped |= set(some)
                else:
                    self.kept[number] += some


def test_concurrent_writers_each_keep_their_order(world: World) -> None:
    other = make_world()
    tenants = [world.tenant_id, other.tenant_id]
    with sequencer() as leader, Writers(tenants, 6, 25) as writers:
        while writers.are_writing:
            leader.step(batch=40)
        leader.drain()
    numbered = {tenant: ids_of(tenant) for tenant in tenants}
    for number, kept in enumerate(writers.kept):
        found = [event for event in numbered[tenants[number % 2]] if event in set(kept)]
        assert found == kept
    for tenant in tenants:
        places = places_of(tenant)
        assert [place[0] for place in places] == list(range(len(places)))
        assert not writers.dropped & set(numbered[tenant])
    _assert_intact(tenants)


def _assert_intact(tenants: Sequence[UUID]) -> None:
    with connect() as connection:
        verdicts = {
            verdict.log: verdict
            for verdict in inspect_logs(
                connection,
                installation=INSTALLATION,
                public_key=config().signer.public_key,
                copies=config().copies,
                only=tenants,
            )
        }
    for tenant in tenants:
        assert verdicts[tenant].is_intact, verdicts[tenant]
        assert verdicts[tenant].proven == verdicts[tenant].size > 0


def _process() -> subprocess.Popen[bytes]:
    """Start `gantry sequencer` with the run's key and place, and nothing else of this process's environment."""
    copies, key = config().copies, config().signer.key
    assert isinstance(copies, DirectoryCopies)
    database = {
        name: os.environ[name]
        for name in ("GANTRY_DATABASE__HOST", "GANTRY_DATABASE__PORT", "GANTRY_DATABASE__SEQUENCER_PASSWORD")
    }
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        **database,
        "GANTRY_AUDIT__INSTALLATION": INSTALLATION,
        "GANTRY_AUDIT__CHECKPOINT_KEY": key.private_bytes_raw().hex(),
        "GANTRY_AUDIT__CHECKPOINTS": str(copies.root),
        "GANTRY_AUDIT__INTERVAL_S": "0",
    }
    command = [sys.executable, "-m", "gantry.cli.main", "sequencer"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


def _wait_for_growth(process: subprocess.Popen[bytes], tenant_id: UUID, size: int) -> None:
    wait_until(lambda: process.poll() is not None or size_of(tenant_id) >= size, "events are numbered", 60)
    assert process.poll() is None, "the sequencer ended by itself"


def test_sequencer_that_is_killed_again_and_again_numbers_everything_once(world: World) -> None:
    chance, size = random.Random(7), size_of(world.tenant_id)
    with Writers([world.tenant_id], 3, 100_000, slowness=1.0) as writers:
        try:
            for _ in range(5):
                process = _process()
                _wait_for_growth(process, world.tenant_id, size + chance.randrange(1, 40))
                process.send_signal(signal.SIGKILL)
                process.wait(20)
                size = size_of(world.tenant_id)
        finally:
            writers.stop()
    sequence_all()
    numbered = ids_of(world.tenant_id)
    assert len(numbered) == len(set(numbered))
    assert {event for kept in writers.kept for event in kept} <= set(numbered)
    assert not writers.dropped & set(numbered)
    _assert_intact([world.tenant_id])
    _assert_kept_checkpoints_agree(world.tenant_id)


def _assert_kept_checkpoints_agree(tenant_id: UUID) -> None:
    """Every checkpoint that was ever copied is signed, and a prefix of what there is now."""
    copies = config().copies
    with connect() as connection:
        tree = open_tree(connection, tenant_id, len(places_of(tenant_id)))
        limit = None
        while note := copies.newest(tenant_id, 0, at_most=limit):
            name = Checkpoint.parse(note).origin
            require_signature(note, name=name, public_key=config().signer.public_key)
            kept = Checkpoint.parse(note)
            check_consistency(
                kept.size, tree.size, kept.root, tree.root(), tree.prove_consistency(kept.size, tree.size)
            )
            limit = kept.size - 1


def test_one_leads_and_the_other_takes_over(world: World) -> None:
    stops = [threading.Event(), threading.Event()]
    names = [f"lead-{number}-{uuid4().hex[:8]}" for number in range(2)]

    def connect_as(name: str) -> Callable[[], psycopg.Connection[Any]]:
        def open_connection() -> psycopg.Connection[Any]:
            connection = connect()
            connection.execute("select set_config('application_name', %s, false)", [name])
            return connection

        return open_connection

    def leaders() -> set[str]:
        with connect() as looking:
            rows = looking.execute(
                "select a.application_name from pg_locks l join pg_stat_activity a using (pid) "
                "where l.locktype = 'advisory' and l.granted and a.application_name = any(%s)",
                [names],
            ).fetchall()
        return {name for (name,) in rows}

    threads = [
        threading.Thread(target=run_sequencer, args=(connect_as(name), config(), stop))
        for name, stop in zip(names, stops, strict=True)
    ]
    threads[0].start()
    try:
        wait_until(lambda: leaders() == {names[0]}, "the first leads")
        threads[1].start()
        event = commit(world.tenant_id)
        wait_until(lambda: event in ids_of(world.tenant_id), "the event is numbered")
        assert leaders() == {names[0]}
        stops[0].set()
        wait_until(lambda: leaders() == {names[1]}, "the second leads")
        event = commit(world.tenant_id)
        wait_until(lambda: event in ids_of(world.tenant_id), "the event is numbered")
    finally:
        for stop in stops:
            stop.set()
        for thread in threads:
            thread.join(30)


def test_two_that_both_believe_to_lead_number_nothing_twice(world: World) -> None:
    with sequencer() as one, sequencer() as other:
        one.drain()
        other.drain()

        def take_turns() -> None:
            """Both remember the tree's edge; the second one's memory is old as soon as the first has gone on."""
            for leader in (one, other, one, other):
                commit(world.tenant_id)
                leader.step()

        with pytest.raises(psycopg.errors.UniqueViolation):
            take_turns()
    sequence_all()
    assert len(ids_of(world.tenant_id)) == len(set(ids_of(world.tenant_id)))
    _assert_intact([world.tenant_id])


class DyingCopies(MemoryCopies):
    """A place whose sequencer dies just before, or just after, a checkpoint is there."""

    def __init__(self, *, before: bool) -> None:
        super().__init__()
        self.before, self.is_dying = before, False

    def put(self, log: UUID, generation: int, size: int, note: str) -> None:
        if self.is_dying and self.before:
            raise KeyboardInterrupt
        super().put(log, generation, size, note)
        if self.is_dying:
            raise KeyboardInterrupt


@pytest.mark.parametrize("before", [True, False])
def test_signing_that_is_cut_short_is_done_again_with_the_same_bytes(world: World, before: bool) -> None:
    copies = DyingCopies(before=before)
    settings = SequencerConfig(INSTALLATION, config().signer, copies)
    commit(world.tenant_id)
    with connect() as connection:
        copies.is_dying = True
        with pytest.raises(KeyboardInterrupt):
            Sequencer(connection, settings).drain()
    kept = dict(copies.kept)
    copies.is_dying = False
    with connect() as connection:
        Sequencer(connection, settings).drain()
    assert {key: copies.kept[key] for key in kept} == kept
    assert copies.newest(world.tenant_id, 0) == open_ledger(world.tenant_id, actor_id=uuid4()).checkpoint.note
    config().copies.put(*_last(world.tenant_id))  # so that the run's own place goes on knowing this log


def _last(tenant_id: UUID) -> tuple[UUID, int, int, str]:
    checkpoint = open_ledger(tenant_id, actor_id=uuid4()).checkpoint
    return tenant_id, 0, checkpoint.size, checkpoint.note


def test_checkpoint_comes_by_count_or_by_time(world: World) -> None:
    now = [0.0]
    settings = SequencerConfig(INSTALLATION, config().signer, config().copies, interval_s=60, most_events=4)
    with connect() as connection:
        leader = Sequencer(connection, settings, monotonic=lambda: now[0])
        leader.drain()
        size = len(places_of(world.tenant_id))

        def signed() -> int:
            return open_ledger(world.tenant_id, actor_id=uuid4()).size

        for _ in range(3):
            commit(world.tenant_id)
        leader.step()
        assert signed() == size
        commit(world.tenant_id)
        leader.step()
        assert signed() == size + 4
        commit(world.tenant_id)
        leader.step()
        now[0] += 59
        leader.step()
        assert signed() == size + 4
        now[0] += 1
        leader.step()
        assert signed() == size + 5


@pytest.mark.parametrize(("interval_s", "most"), [(61, 1000), (10, 1001), (-1, 10), (10, 0)])
def test_checkpoints_cannot_be_configured_to_come_late(interval_s: float, most: int) -> None:
    with pytest.raises(ValueError, match="at least every"):
        SequencerConfig(INSTALLATION, config().signer, config().copies, interval_s=interval_s, most_events=most)


def _leaf(tenant_id: UUID, index: int, leaf: bytes) -> bytes:
    """Put another leaf in place, as the database's owner may; return the old one."""
    with as_owner_of("audit_sequence") as owner:
        row = owner.execute(
            "select leaf from audit_sequence where log_id = %s and index = %s", [tenant_id, index]
        ).fetchone()
        owner.execute("update audit_sequence set leaf = %s where log_id = %s and index = %s", [leaf, tenant_id, index])
    assert row is not None
    return bytes(row[0])


def test_ledger_that_was_rewritten_is_signed_no_more(world: World) -> None:
    signed = open_ledger(world.tenant_id, actor_id=uuid4()).size
    commit(world.tenant_id)
    old = _leaf(world.tenant_id, 3, b"\x00" * 32)
    try:
        with sequencer() as leader:
            leader.drain()
            assert world.tenant_id in leader.problems
            commit(world.tenant_id)
            leader.drain()
            assert "contradicts its checkpoint" in leader.problems[world.tenant_id]
        assert open_ledger(world.tenant_id, actor_id=uuid4()).size == signed
        found = ledger_status()
        assert (found.state, found.is_well) == ("refused", False)
    finally:
        _leaf(world.tenant_id, 3, old)
    sequence_all()
    assert open_ledger(world.tenant_id, actor_id=uuid4()).size == signed + 2
    assert ledger_status().state == "ok"
    _assert_intact([world.tenant_id])


def test_event_that_was_rewritten_is_found(world: World) -> None:
    event_id = ids_of(world.tenant_id)[2]
    with as_owner_of("audit_auditevent") as owner:
        owner.execute("update audit_auditevent set role = 'other' || role where id = %s", [event_id])
    try:
        with connect() as connection:
            (found,) = inspect_logs(
                connection,
                installation=INSTALLATION,
                public_key=config().signer.public_key,
                copies=config().copies,
                only=[world.tenant_id],
            )
        assert (found.is_intact, found.sentence) == (False, "event 2 was changed after it was numbered")
    finally:
        with as_owner_of("audit_auditevent") as owner:
            owner.execute("update audit_auditevent set role = substr(role, 6) where id = %s", [event_id])
    _assert_intact([world.tenant_id])


def test_log_cut_by_a_restore_goes_on_under_a_name_that_shows_it(world: World) -> None:
    keep = len(places_of(world.tenant_id))
    lost = [commit(world.tenant_id) for _ in range(3)]
    sequence_all()
    later = open_ledger(world.tenant_id, actor_id=uuid4()).checkpoint
    with as_owner_of("audit_auditevent", "audit_sequence", "audit_checkpoint") as owner:  # what a backup did not have
        owner.execute("delete from audit_auditevent where id = any(%s)", [lost])
        owner.execute("delete from audit_sequence where log_id = %s and index >= %s", [world.tenant_id, keep])
        owner.execute("delete from audit_checkpoint where log_id = %s and size > %s", [world.tenant_id, keep])
    commit(world.tenant_id)
    with sequencer() as leader:
        leader.drain()
        assert "Was an older backup restored?" in leader.problems[world.tenant_id]
        known = {"installation": INSTALLATION, "public_key": config().signer.public_key}
        with connect() as connection:
            name = reopen_log(connection, world.tenant_id, copies=config().copies, reason="drill", **known)  # type: ignore[arg-type]  # by name
        assert name.origin == f"{later.origin}/1"
        leader.sign_all()
    now = open_ledger(world.tenant_id, actor_id=uuid4()).checkpoint
    assert (now.origin, now.size) == (name.origin, keep + 1)
    _assert_intact([world.tenant_id])


def test_ledger_from_another_cluster_is_adopted(world: World) -> None:
    with connect("owner") as owner:
        owner.execute("update audit_sequencer set system_identifier = 1")
    event = commit(world.tenant_id)
    with sequencer() as leader, pytest.raises(WrongClusterError):
        leader.step()
    with connect("owner") as owner:
        assert adopt_cluster(owner)
        assert not adopt_cluster(owner)
    sequence_all()
    assert ids_of(world.tenant_id)[-1] == event
    assert len(ids_of(world.tenant_id)) == len(set(ids_of(world.tenant_id)))
    _assert_intact([world.tenant_id])


def test_requests_are_answered_with_the_key_of_the_checkpoints(world: World) -> None:
    patient = uuid4()
    for _ in range(3):
        commit(world.tenant_id, patients=[patient])
    sequence_all()
    size = open_ledger(world.tenant_id, actor_id=uuid4()).size
    with tenant_scope(world.system):
        asked = [
            request_signature("ab" * 32),
            request_patient_count(patient, size=size - 1),
            request_signature("nonsense"),
            request_patient_count(patient, size=size + 99),
            request_checkpoint(),
        ]
        assert [find_signature(request) for request in asked] == [None] * 5
        commit(world.tenant_id)
        with sequencer() as leader:
            leader.step()
        manifest, count, none, neither, checkpoint = [find_signature(request) for request in asked]
    origin = f"{INSTALLATION}/audit/{world.tenant_id}"
    assert none is neither is None
    texts = []
    for note in (manifest, count, checkpoint):
        assert note is not None
        texts.append(require_signature(note, name=origin, public_key=config().signer.public_key))
    assert texts[0] == f"gantry-audit-export-manifest/v1\n{world.tenant_id}\n{'ab' * 32}\n"
    assert texts[1] == f"gantry-audit-patient-count/v1\n{world.tenant_id}\n{size - 1}\n{patient}\n2\n"
    assert Checkpoint.parse(checkpoint or "").size == size + 1
    with tenant_scope(make_world().system):
        assert [find_signature(request) for request in asked] == [None] * 5, "another tenant's"


def test_platform_has_a_log_of_its_own(world: World) -> None:
    before = len(places_of(PLATFORM_LOG))
    record_platform(
        kind=Kind.AUTHENTICATION,
        action="sign_in.failed",
        outcome=Outcome.FAILURE,
        user_id=None,
        correlation_id="c-9",
        detail={"address": "192.0.2.9", "reason": "password"},
    )
    sequence_all()
    ledger = open_ledger(PLATFORM_LOG, actor_id=uuid4())
    assert ledger.size == before + 1
    ((_, event),) = list(ledger.iter_events(first=before))
    assert (event.log, event.action, event.address, dict(event.detail)) == (
        PLATFORM_LOG, "sign_in.failed", "192.0.2.9", {"reason": "password"},
    )  # fmt: skip


def test_status_tells_a_sequencer_that_is_silent(world: World) -> None:
    sequence_all()
    assert ledger_status().is_well
    with connect("owner") as owner:
        owner.execute("update audit_sequencer set beat_at = beat_at - interval '1 hour'")
    found = ledger_status()
    assert (found.state, "silent" in found.sentence) == ("stopped", True)
    assert found.fingerprints


def test_process_says_what_it_lacks(tmp_path: Path, world: World) -> None:
    for changes, word in (
        ({"GANTRY_AUDIT__CHECKPOINT_KEY": "zz"}, "GANTRY_AUDIT__CHECKPOINT_KEY"),
        ({"GANTRY_AUDIT__INTERVAL_S": "3600"}, "at least every 60 s"),
        ({"GANTRY_AUDIT__TYPO": "1"}, "unknown setting GANTRY_AUDIT__TYPO"),
        ({"GANTRY_AUDIT__WITNESSES": "x https://witness.example"}, "GANTRY_AUDIT__WITNESSES"),
    ):
        from gantry.config.env import ConfigurationError
        from gantry.config.sequencer import parse_sequencer_environment

        known = {
            "GANTRY_DATABASE__HOST": "/nowhere",
            "GANTRY_DATABASE__SEQUENCER_PASSWORD": "x",
            "GANTRY_AUDIT__INSTALLATION": "gantry.example",
            "GANTRY_AUDIT__CHECKPOINT_KEY": "00" * 32,
            "GANTRY_AUDIT__CHECKPOINTS": str(tmp_path),
        }
        assert parse_sequencer_environment(known).config.interval_s == 10
        with pytest.raises(ConfigurationError, match=word):
            parse_sequencer_environment({**known, **changes})

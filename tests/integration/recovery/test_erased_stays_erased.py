"""A backup from before an erasure, restored after it: nothing of what was erased can be read (reliability.md §9.20, §9.48)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydicom.uid import generate_uid

from analysed import load_study
from gantry.agreements.public import Step, advance_agreement
from gantry.embedded.parts import DATABASE, Stack
from gantry.embedded.state import StateFolder
from gantry.foundation.scope import tenant_scope
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Role
from gantry.recovery.backup import Follower, Source, run_backup
from gantry.recovery.restore import Wanted, restore
from gantry.recovery.target import Target
from gantry.studies.destruction.inventory import holdings
from gantry.studies.models import Instance, Patient, Study
from gantry.studies.public import (
    ErasureCause,
    ErasureTarget,
    confirm_erasure,
    execute_erasure,
    plan_erasure,
    stored_ref,
)
from gantry.vault.public import KeyDestroyedError, StoredRef, VaultConfig, VaultNotFoundError, build_vault
from ledger import sequence_all
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


def say(_what: str, _done: int) -> None:
    pass


def erase(world: World, target: ErasureTarget, **what: Any) -> None:
    with world.acting(Role.COMPLIANCE) as actor:
        plan = plan_erasure(actor=actor, target=target, cause=ErasureCause.SUBJECT_REQUEST, **what)
        confirm_erasure(actor=actor, erasure_id=plan.pk, plan_hash=plan.plan_hash)
    with tenant_scope(world.system):
        execute_erasure(erasure_id=plan.pk)


def refs(world: World, study_id: UUID) -> list[StoredRef]:
    with world.reading():
        return [stored_ref(row, row.tenant_id) for row in Instance.objects.filter(study_id=study_id)]


@contextmanager
def opened(state: Path) -> Iterator[psycopg.Connection[Any]]:
    """Run the restored cluster and look into it as its superuser."""
    cluster = Stack(state=StateFolder(state), commands=frozenset()).cluster
    cluster.ensure_initialised()
    cluster.start(log=state / "look.log")
    try:
        with cluster.connect(database=DATABASE) as connection:
            yield connection
    finally:
        cluster.stop()


def test_erased_data_stay_erased_when_a_backup_from_before_is_restored(
    source: Source, target: Target, custody: Path, folder: Path
) -> None:
    one, ending, other = make_world(), make_world(), make_world()
    whole = load_study(one, 3, PatientID="A-1")
    part, stays = (load_study(one, 3, PatientID="A-2", study_uid=generate_uid()) for _ in range(2))
    ended, kept = load_study(ending, 3), load_study(other, 3)
    with one.reading():
        patient = Patient.objects.get(patient_id="A-1")
        pseudonym = patient.pseudonym
    before = {ref for loaded in (whole, part) for ref in refs(one, loaded.study_id)} | set(refs(ending, ended.study_id))

    sequence_all()
    run_backup(source, target, custody, say)
    erase(one, ErasureTarget.PATIENT, patient_id=patient.pk)
    erase(one, ErasureTarget.STUDY, study_ids=[part.study_id])
    with tenant_scope(ending.system):
        advance_agreement(
            actor=ending.system, agreement_id=AgreementId(ending.agreement_id or UUID(int=0)), step=Step.TERMINATE
        )
    erase(ending, ErasureTarget.TENANT)
    # Only the keys' custody hears of it: the database comes back as it was before.
    from gantry.recovery.custody import mirror_custody

    mirror_custody(source.state, custody, keys=source.keys_path)

    restored = restore(wanted=Wanted(target.root, custody), state=StateFolder(folder / "again"), say=say)
    assert restored.erasures_replayed >= 3
    trees = {tree["log"]: tree for tree in restored.trees}
    assert all(tree["is_intact"] for tree in trees.values())
    for world in (one, ending, other):
        assert trees[str(world.tenant_id)]["proven"] > 10

    config = VaultConfig(kind="directory", keys_path=folder / "again/keys", objects_path=folder / "again/objects")
    vault = build_vault(config)
    for ref in before:  # the rows of the backup, as whoever reads its pages finds them
        with pytest.raises((KeyDestroyedError, VaultNotFoundError)):
            vault.open(ref)
    for world, loaded in ((one, stays), (other, kept)):
        for ref in refs(world, loaded.study_id):
            with vault.open(ref) as reader:
                assert reader.read()[128:132] == b"DICM"
    with opened(folder / "again") as connection:

        def count(query: str, *values: Any) -> int:
            row = connection.execute(query, values).fetchone()
            assert row is not None
            return int(row[0])

        for loaded in (whole, part, ended):
            assert count("select count(*) from studies_study where id = %s", loaded.study_id) == 0
            assert count("select count(*) from studies_instance where study_id = %s", loaded.study_id) == 0
        for holding in holdings():
            table = holding.model._meta.db_table
            assert count(f"select count(*) from {table} where tenant_id = %s", ending.tenant_id) == 0, table
        # The trail tells of the pseudonym, and nothing tells whose it was.
        assert count("select count(*) from audit_auditevent where patient_pseudonym = %s", pseudonym) > 0
        assert count("select count(*) from studies_patient where pseudonym = %s", pseudonym) == 0
        assert count("select count(*) from studies_study where id = %s", stays.study_id) == 1
        # What stays is under the new key, as the log of erasures keeps it.
        keys = connection.execute(
            "select distinct i.key_id, p.key_id from studies_instance i join studies_study s on s.id = i.study_id "
            "join studies_patient p on p.id = s.patient_id where s.id = %s", [stays.study_id],
        ).fetchall()  # fmt: skip
        assert len(keys) == 1
        assert keys[0][0] == keys[0][1]
    assert os.listdir(folder) and not (folder / "again.restoring").exists()


def test_restore_holds_what_was_committed_after_the_backup_when_its_log_was_followed(
    source: Source, target: Target, custody: Path, folder: Path
) -> None:
    world = make_world()
    first = load_study(world, 2)
    run_backup(source, target, custody, say)
    with Follower(source, target, custody) as follower:
        second = load_study(world, 2, PatientID="B-2", study_uid=generate_uid())
        with world.reading():
            assert Study.objects.count() == 2
        assert _received(follower)
    restored = restore(wanted=Wanted(target.root, custody), state=StateFolder(folder / "again"), say=say)
    assert restored.log_segments > 0
    assert restored.missing_objects == 0
    with opened(folder / "again") as connection:
        wanted = connection.execute("select object_id from studies_instance where tenant_id = %s", [world.tenant_id])
        assert all((folder / "again" / "objects" / str(world.tenant_id)).rglob(str(row[0])) for row in wanted)
    with opened(folder / "again") as connection:
        rows = connection.execute("select id from studies_study where tenant_id = %s", [world.tenant_id]).fetchall()
    assert {row[0] for row in rows} == {first.study_id, second.study_id}


def _received(follower: Follower) -> bool:
    """Step until what was committed up to now lies in the target."""
    import time

    import psycopg as driver

    with driver.connect(**follower.connection, autocommit=True) as link:
        row = link.execute("select pg_current_wal_insert_lsn()").fetchone()
        assert row is not None
        wanted = row[0]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            reached = link.execute(
                "select flush_lsn >= %s::pg_lsn from pg_stat_replication where application_name = 'gantry-backup'",
                [wanted],
            ).fetchone()
            if reached and reached[0]:
                follower.step()
                return True
            time.sleep(0.05)
    return False

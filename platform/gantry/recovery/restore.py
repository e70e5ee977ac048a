"""Restoring into a new state folder: nothing of it has its name until everything was checked.

What was erased stays erased: tombstones destroy its keys again, and the deletion log is replayed on the rows, before the
folder can be started from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from gantry.embedded.environment import child_environment
from gantry.embedded.parts import DATABASE, Stack
from gantry.embedded.postgres import Cluster
from gantry.embedded.state import REPOSITORY, StateFolder
from gantry.recovery.backup import copy_object, listed_objects, read_newest_log
from gantry.recovery.custody import read_backup_key, restore_custody
from gantry.recovery.database import Say, prepare_recovery, unpack_base, unpack_segments
from gantry.recovery.errors import RecoveryError
from gantry.recovery.target import Backup, Target
from gantry.vault.public import DirectoryObjectStore, KeyStore, VaultConfig, VaultError, build_vault

_RECOVERY_S: Final = 3600.0
_PYTHONPATH: Final = os.pathsep.join(str(REPOSITORY / name) for name in ("platform", "inference", "rendering"))


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to."""

    backup: str
    taken_at: datetime
    state: str
    """The last commit that the database holds."""
    log_segments: int
    objects: int
    missing_objects: int
    keys_destroyed: int
    erasures_replayed: int
    trees: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "taken_at": self.taken_at.isoformat()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to restore.

    Parameters
    ----------
    backup_id
        The newest unless one is named.
    until
        Moment up to which the database is brought, as PostgreSQL writes it; the last word of the log otherwise.
    log_from
        A key directory that survived and whose log of erasures may be newer than the custody's.
    with_objects
        False where the objects were not lost (a bucket): then none is copied.
    """

    target: Path
    custody: Path
    backup_id: str = ""
    until: str = ""
    log_from: Path | None = None
    with_objects: bool = True


class _Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[step] = round(time.perf_counter() - begun, 3)


def restore(
    *,
    wanted: Wanted,
    state: StateFolder,
    say: Say,
) -> Restored:
    """Restore a backup into a state folder that does not exist yet.

    Raises
    ------
    RecoveryError
        Something is missing, damaged, of another key, or contradicts what was signed. Nothing is left behind.
    """
    if state.root.exists() and any(state.root.iterdir()):
        raise RecoveryError(f"{state.root} is not empty. A restore goes into a new folder; nothing is written over.")
    if not (wanted.target / "backups").is_dir():
        raise RecoveryError(f"{wanted.target} is no backup target.")
    target = Target(wanted.target, read_backup_key(wanted.custody))
    backup = target.read_backup(wanted.backup_id)
    draft = StateFolder(state.root.with_name(f"{state.root.name}.restoring"))
    shutil.rmtree(draft.root, ignore_errors=True)
    try:
        restored = _restore_into(draft, target, backup, wanted, say)
        if state.root.exists():
            state.root.rmdir()
        draft.root.rename(state.root)
    except BaseException:
        shutil.rmtree(draft.root, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(draft.runtime, ignore_errors=True)
    return restored


def _restore_into(
    draft: StateFolder,
    target: Target,
    backup: Backup,
    wanted: Wanted,
    say: Say,
) -> Restored:
    clock = _Clock()
    draft.prepare()
    with clock.measure("keys"):
        restore_custody(wanted.custody, draft.root)
        keys = build_vault(VaultConfig(kind="directory", keys_path=draft.keys, objects_path=draft.objects)).keys
        log = _newest_log(target, backup, keys, wanted.log_from)
        destroyed = _destroy_again(keys, log)
    with clock.measure("objects"):
        copied, missing = (0, 0) if not wanted.with_objects else _restore_objects(target, backup, draft, log, say)
    stack = Stack(state=draft, commands=frozenset())
    cluster = stack.cluster
    with clock.measure("database"):
        cluster.home.mkdir(mode=0o700, parents=True)
        unpack_base(target.pieces, backup.base, cluster, say)
        segments = target.segments(backup.system_identifier, since=backup.start_wal)
        count, _ = unpack_segments(target.pieces, segments, cluster, say)
        prepare_recovery(cluster, wanted.until)
        _own(cluster)
    with _running(cluster, draft):
        with clock.measure("recovery"):
            last = _recover(cluster, backup)
        with clock.measure("trail"):
            trees = _verify_trail(stack, backup)
        with clock.measure("replay"):
            replayed = _replay(stack, log)
    return Restored(
        backup=backup.id,
        taken_at=backup.started_at,
        state=last,
        log_segments=count,
        objects=copied,
        missing_objects=missing,
        keys_destroyed=destroyed,
        erasures_replayed=replayed,
        trees=trees,
        seconds=clock.seconds,
    )


def _newest_log(target: Target, backup: Backup, keys: KeyStore, log_from: Path | None) -> dict[str, Any]:
    """Return all that any place knows of erasures: whatever was erased in one of them is erased."""
    from gantry.recovery.backup import log_document

    documents = [
        json.loads(target.pieces.read(backup.log, "The deletion log")),
        read_newest_log(target, backup.system_identifier) or {"erasures": [], "deletions": []},
        log_document(keys),
    ]
    if log_from is not None:
        survived = VaultConfig(kind="directory", keys_path=log_from, objects_path=log_from.parent / "objects")
        documents.append(log_document(build_vault(survived).keys))
    deletions: dict[tuple[str, str], str] = {}
    for document in documents:
        for tenant_id, deletion_id, entry in document["deletions"]:
            known = deletions.get((tenant_id, deletion_id))
            if known is None or _progress(entry) >= _progress(known):
                deletions[tenant_id, deletion_id] = entry
    erasures = sorted({(one[0], one[1], one[2]) for document in documents for one in document["erasures"]}, key=str)
    entries = [json.loads(entry) | {"tenant_id": key[0]} for key, entry in deletions.items()]
    return {"erasures": erasures, "deletions": sorted(entries, key=lambda one: str(one["started_at"]))}


_STATES: Final = ("confirmed", "withdrawn", "stopped", "executing", "done")


def _progress(entry: str) -> int:
    state = json.loads(entry)["state"]
    return _STATES.index(state) if state in _STATES else -1


def _destroy_again(keys: KeyStore, log: Mapping[str, Any]) -> int:
    """Destroy every key that was destroyed before, and keep the log beside the keys again."""
    for tenant_id, key_id, _ in log["erasures"]:
        if key_id is None:
            keys.destroy_tenant(UUID(tenant_id))
        else:
            keys.destroy_key(UUID(tenant_id), UUID(key_id))
    for entry in log["deletions"]:
        kept = {key: value for key, value in entry.items() if key != "tenant_id"}
        keys.log_deletion(
            UUID(entry["tenant_id"]), UUID(entry["erasure_id"]), json.dumps(kept, sort_keys=True).encode()
        )
        if entry["state"] in {"executing", "done"} and entry["target"] != "tenant":
            for key_id in entry["work"].get("keys", ()):
                keys.destroy_key(UUID(entry["tenant_id"]), UUID(key_id))
        elif entry["state"] in {"executing", "done"}:
            keys.destroy_tenant(UUID(entry["tenant_id"]))
    return len(log["erasures"])


def _restore_objects(
    target: Target, backup: Backup, draft: StateFolder, log: Mapping[str, Any], say: Say
) -> tuple[int, int]:
    """Copy the objects that the target has, those written after the backup as well; count the listed that it has not."""
    gone = {UUID(tenant_id) for tenant_id, key_id, _ in log["erasures"] if key_id is None}
    store = DirectoryObjectStore(draft.objects)
    there = {blob.name: blob.size_bytes for blob in target.objects.list() if blob.name.tenant_id not in gone}
    done = 0
    try:
        for name in there:
            done += copy_object(target.objects, store, name)
            say("objects", done)
    except VaultError:
        raise RecoveryError("A copy of an object cannot be read from the target.") from None
    missing = sum(
        there.get(name) != size for name, size in listed_objects(target, backup) if name.tenant_id not in gone
    )
    return len(there), missing


def _own(cluster: Cluster) -> None:
    if cluster.account is not None:
        os.chown(cluster.home, cluster.account.uid, cluster.account.gid)


@contextmanager
def _running(cluster: Cluster, draft: StateFolder) -> Iterator[None]:
    cluster.ensure_initialised()  # makes the socket's folder; the data folder is there
    try:
        cluster.start(timeout_s=_RECOVERY_S, log=draft.logs / "restore.log")
        yield
    finally:
        cluster.stop()


def _recover(cluster: Cluster, backup: Backup) -> str:
    """Wait until the log is read to its end; return the moment of the last commit in it."""
    deadline = time.monotonic() + _RECOVERY_S
    with cluster.connect() as link:
        while True:
            row = link.execute(
                "select pg_is_in_recovery(), (select system_identifier::text from pg_control_system())"
            ).fetchone()
            assert row is not None
            if row[1] != backup.system_identifier:
                raise RecoveryError("The base backup is of another installation than its list says.")
            if not row[0]:
                break
            if time.monotonic() > deadline:
                raise RecoveryError("The database did not come to the end of its log within an hour.")
            time.sleep(0.1)
        link.execute("alter system reset all")
    (cluster.data / "recovery.signal").unlink(missing_ok=True)
    with cluster.connect(database=DATABASE) as link:
        last = link.execute("select max(occurred_at)::text from audit_auditevent").fetchone()
        # What was handed out after the backup is void: listeners start afresh, and everybody signs in again.
        link.execute("update foundation_stream set epoch = gen_random_uuid()")
        link.execute("delete from identity_session")
    return str(last[0]) if last and last[0] else ""


def _gantry(
    stack: Stack, *words: str, given: str = "", module: str = "gantry.cli.main"
) -> subprocess.CompletedProcess[str]:
    """Run a command on the draft, in a process of its own with the restored installation's settings."""
    where = ["--state-dir", str(stack.state.root)] if module == "gantry.cli.main" else []
    settings = (
        stack.sequencer_settings() if words[:1] == ("audit",) else {**stack.settings(), "GANTRY_DATABASE__ROLE": "app"}
    )
    return subprocess.run(
        [sys.executable, "-m", module, *where, *words],
        env=child_environment({**settings, "PYTHONPATH": _PYTHONPATH}),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def _last(lines: str) -> str:
    return (lines.strip().splitlines() or ["it said nothing"])[-1][:300]


def _verify_trail(stack: Stack, backup: Backup) -> list[dict[str, Any]]:
    """Bring the schema up to date, and compare every audit log with its tree and the checkpoints that were kept.

    A log that is shorter than its last kept checkpoint lost events with the disaster: it goes on under a new name, which
    shows that. One that differs is not opened.
    """
    migrated = _gantry(stack, "migrate")
    if migrated.returncode:
        raise RecoveryError(f"The restored database cannot be brought up to date: {_last(migrated.stderr)}")
    checked = _gantry(stack, "audit", "check", "--json")
    try:
        trees: list[dict[str, Any]] = json.loads(checked.stdout)
    except ValueError:
        raise RecoveryError(f"The audit trail cannot be checked: {_last(checked.stderr)}") from None
    bad = [tree for tree in trees if not tree["is_intact"]]
    if bad or checked.returncode:
        raise RecoveryError(
            f"The audit trail does not verify, so the restored database is not opened. {bad[0]['sentence']}"
        )
    if any(tree["lost"] for tree in trees):
        reopened = _gantry(stack, "audit", "reopen", "--reason", f"Restored from the backup {backup.id}")
        if reopened.returncode:
            raise RecoveryError(f"The audit trail cannot go on: {_last(reopened.stderr)}")
    return trees


def _replay(stack: Stack, log: Mapping[str, Any]) -> int:
    """Do the erasures of the log again."""
    done = _gantry(stack, given=json.dumps(log["deletions"]), module="gantry.recovery.reopening")
    try:
        answer = json.loads(_last(done.stdout))
    except ValueError:
        answer = {}
    if done.returncode or "replayed" not in answer:
        raise RecoveryError(f"The erasures cannot be done again: {answer.get('sentence') or _last(done.stderr)}")
    return int(answer["replayed"])

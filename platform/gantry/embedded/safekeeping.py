"""What `gantry doctor` says of backups and of scheduled destruction."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from gantry.embedded.environment import read_environment_file
from gantry.embedded.state import StateFolder

_OLD_BASE_S = 8 * 86400.0
_OLD_LOG_S = 300.0
#: As the application counts it (`studies.destruction.domain`): the law lets a run be so long ago, and no longer.
_OVERDUE = """
    select count(*) from tenancy_tenant t
    where coalesce((select max(r.started_at) from studies_retentionrun r
                    where r.tenant_id = t.id and r.finished_at is not null), t.created_at) < now() - interval '180 days'
"""


@dataclass(frozen=True)
class Note:
    """How it stands with one thing: well or not, in words."""

    is_well: bool
    using: str
    why: str = ""
    next_step: str = ""


def look_at_backups(state: StateFolder) -> Note:
    """Say when the last backup was taken, and how far behind the log of the database is."""
    try:
        places = json.loads((state.root / "backup.json").read_text(encoding="utf-8"))
        target = Path(places["target"])
    except (OSError, ValueError, KeyError):
        return Note(
            False, "none", "Nothing survives the loss of this machine.",
            "`gantry backup run --target FOLDER --custody FOLDER`, then `gantry backup follow`.",
        )  # fmt: skip
    newest = _age_s(target / "backups")
    if newest is None:
        return Note(False, "none", f"There is no backup in {target}.", "`gantry backup run`")
    behind = min((age for age in (_age_s(target / "wal"), newest) if age is not None), default=newest)
    using = f"{target}, {newest / 3600:.1f} h old, {behind:.0f} s behind"
    if behind > _OLD_LOG_S:
        return Note(False, using, "More than five minutes would be lost.", "`gantry backup follow` keeps up.")
    if newest > _OLD_BASE_S:
        return Note(False, using, "The last base backup is older than a week.", "`gantry backup run`")
    return Note(True, using)


def _age_s(folder: Path) -> float | None:
    moments = [path.stat().st_mtime for path in folder.rglob("*.json")] if folder.is_dir() else []
    return max(time.time() - max(moments), 0.0) if moments else None


def look_at_retention(state: StateFolder) -> Note:
    """Say whether a tenant's scheduled destruction is overdue; asks the running database."""
    settings = read_environment_file(state.environment_file)
    if not settings or not state.is_held():
        return Note(True, "not looked at", "The stack does not run.")
    try:
        with psycopg.connect(
            host=settings["GANTRY_DATABASE__HOST"],
            port=int(settings["GANTRY_DATABASE__PORT"]),
            dbname=settings["GANTRY_DATABASE__NAME"],
            user="postgres",
            password=state.load_secrets().superuser_password,
            connect_timeout=5,
        ) as connection:
            row = connection.execute(_OVERDUE).fetchone()
    except (psycopg.Error, KeyError, ValueError):
        return Note(True, "not looked at", "The database does not answer.")
    overdue = int(row[0]) if row else 0
    if overdue:
        return Note(
            False, "overdue", f"For {overdue} tenants scheduled destruction has not run for 180 days.",
            "Is a worker running? `gantry retention run --tenant SLUG` runs it now.",
        )  # fmt: skip
    return Note(True, "scheduled destruction in time")

"""Whether every effect has its event, however often the link to the database breaks or the process dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fault_link import FaultLink, cut_link, deadly_link
from gantry.embedded.postgres import Cluster
from gantry.kernel.vocabulary import Role
from world import World, make_world

_ASKING: Final = (Role.ADMIN, Role.COMPLIANCE, Role.RADIOLOGIST, Role.SURGEON)
ROOT: Final = Path(__file__).resolve().parents[2]
_EFFECTS: Final = {
    # kind: (rows of effects by name, the same names by their events)
    "team": (
        "select name, id::text from access_careteam where tenant_id = %s",
        "select detail->>'team_id' from audit_auditevent where tenant_id = %s and action = 'care_team.created'",
    ),
    "incident": (
        "select title, id::text from oversight_incident where tenant_id = %s",
        "select detail->>'incident_id' from audit_auditevent where tenant_id = %s and action = 'incident.opened'",
    ),
    "member": (
        """select u.name, m.id::text from tenancy_membership m join identity_user u on u.id = m.user_id
           where m.tenant_id = %s and u.email like '%%@effects.test'""",
        """select detail->>'membership_id' from audit_auditevent
           where tenant_id = %s and action = 'member.added' and correlation_id like 'effect-%%'""",
    ),
}


@dataclass(frozen=True)
class Findings:
    """What was asked and answered, and what lies in the database afterwards."""

    faults: int
    statuses: dict[str, Counter[int]]
    effects: dict[str, dict[str, str]]
    """By kind: the ids of rows by the request that made them."""
    events: dict[str, Counter[str]]
    """By kind: how many events name the id of a row."""
    recorded: Counter[str]
    """Events by the correlation id of the request."""
    answered: dict[str, tuple[str, int]] = field(repr=False)

    def without_event(self) -> list[str]:
        """Return effects that no event tells of."""
        return [row for kind, rows in self.effects.items() for row in rows.values() if not self.events[kind][row]]

    def without_effect(self) -> list[str]:
        """Return events of success whose effect is not there, and effects with more than one event."""
        ids = {kind: set(rows.values()) for kind, rows in self.effects.items()}
        return [
            row for kind, counts in self.events.items() for row, n in counts.items() if row not in ids[kind] or n > 1
        ]

    def lost(self) -> list[str]:
        """Return what was acknowledged and is not there."""
        done = {201}
        return [
            name
            for name, (kind, status) in self.answered.items()
            if kind in self.effects and status in done and name not in self.effects[kind]
        ]

    def unrecorded(self) -> list[str]:
        """Return reads that were answered, and refusals that were spoken, without an event."""
        told = {"search": {200}, "refused": {403}}
        return [
            name
            for name, (kind, status) in self.answered.items()
            if status in told.get(kind, ()) and not self.recorded[name]
        ]


def break_links(cluster: Cluster, *, requests: int, seed: int) -> Findings:
    """Make requests while the link to the database breaks at random bytes."""
    world = make_world()
    names = [f"effect-{seed}-{number}" for number in range(requests)]
    return _run(
        world, cluster, [names], lambda server, _: cut_link(server, least=200, most=30_000, seed=seed), threads=6
    )


def kill_processes(cluster: Cluster, *, kills: int, seed: int) -> Findings:
    """Make requests in processes, each of which is killed at a random byte of its talk with the database."""
    world = make_world()
    batches = [[f"effect-{seed}-{kill}-{number}" for number in range(200)] for kill in range(kills)]
    return _run(
        world,
        cluster,
        batches,
        lambda server, victim: deadly_link(server, victim, least=3_000, most=40_000, seed=seed),
        threads=3,
    )


def _run(
    world: World,
    cluster: Cluster,
    batches: Sequence[list[str]],
    make_link: Callable[[Path, Callable[[], int | None]], AbstractContextManager[FaultLink]],
    *,
    threads: int,
) -> Findings:
    server = Path(os.environ["GANTRY_DATABASE__HOST"]) / f".s.PGSQL.{os.environ['GANTRY_DATABASE__PORT']}"
    victims: list[int] = []
    answers = Path(tempfile.mkdtemp(prefix="gantry-effects-", dir="/tmp")) / "answers.jsonl"
    with make_link(server, lambda: victims[-1] if victims else None) as link:
        environment = {
            **os.environ,
            "GANTRY_DATABASE__HOST": str(link.folder),
            "PYTHONPATH": os.pathsep.join(
                str(ROOT / name) for name in ("platform", "inference", "rendering", "tests/support")
            ),
        }
        maker = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "support" / "effect_maker.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert maker.stdin is not None
        assert maker.stdout is not None
        for names in batches:
            task = {
                "slug": world.slug,
                "tokens": {
                    role.value: world.tokens[role]
                    for role in (Role.ADMIN, Role.COMPLIANCE, Role.RADIOLOGIST, Role.SURGEON)
                },
                "names": names,
                "threads": threads,
                "answers": str(answers),
            }
            maker.stdin.write(json.dumps(task) + "\n")
            maker.stdin.flush()
            victims.append(int(maker.stdout.readline()))
            maker.stdout.readline()
            victims.clear()
        maker.stdin.close()
        maker.wait(30)
        faults = link.faults
    lines = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    statuses: dict[str, Counter[int]] = {}
    for line in lines:
        statuses.setdefault(line["kind"], Counter())[line["status"]] += 1
    effects: dict[str, dict[str, str]] = {}
    events: dict[str, Counter[str]] = {}
    with cluster.connect(database="gantry") as connection:
        for kind, (rows, told) in _EFFECTS.items():
            effects[kind] = dict(connection.execute(rows, [world.tenant_id]).fetchall())
            events[kind] = Counter(row[0] for row in connection.execute(told, [world.tenant_id]).fetchall())
        recorded = Counter(
            row[0]
            for row in connection.execute(
                "select correlation_id from audit_auditevent where tenant_id = %s", [world.tenant_id]
            ).fetchall()
        )
    answered = {line["name"]: (line["kind"], line["status"]) for line in lines}
    return Findings(faults, statuses, effects, events, recorded, answered)

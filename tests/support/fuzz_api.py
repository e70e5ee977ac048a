"""Requests made from the OpenAPI document, good and bad, against two tenants: no server error, nothing of the other one."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from analysed import analyse, load_study
from gantry.embedded.postgres import Cluster
from gantry.kernel.vocabulary import MEMBER_ROLES, Role
from site_client import Client
from world import World, make_world

_TABLES: Final = (
    "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'tenant_id'"
)


#: Those who may do the most are asked for most often: a refused request goes no deeper than the gate.
_ASKING: Final = (
    Role.COMPLIANCE, Role.COMPLIANCE, Role.ADMIN, Role.ADMIN, Role.RADIOLOGIST, Role.RADIOLOGIST, Role.SURGEON,
    Role.REFERRER, Role.INTEGRATOR,
)  # fmt: skip


@dataclass
class Answers:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.statuses.values())


@dataclass(frozen=True)
class Fuzzed:
    """Two tenants with something of everything, and the document that says what may be asked."""

    home: World
    other: World
    own_ids: tuple[str, ...]
    foreign_ids: tuple[str, ...]
    foreign: tuple[str, ...]
    """What of the other tenant may stand in no answer: ids, names, numbers."""
    document: dict[str, Any]

    def operations(self) -> Iterator[Any]:
        """Yield the document's operations."""
        schema = schemathesis.openapi.from_dict(self.document)
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            yield result.ok()


def make_fuzzed(cluster: Cluster, document: dict[str, Any]) -> Fuzzed:
    """Make two tenants, each with a study that was analysed."""
    home, other = make_world(), make_world()
    for world in (home, other):
        study = load_study(world, 8, PatientID=f"PAT-{world.slug}", PatientName=f"Name{world.slug[2:]}^Test")
        analyse(study)
    own, _ = _ids(cluster, home.tenant_id)
    foreign, uids = _ids(cluster, other.tenant_id)
    names = (other.slug, f"PAT-{other.slug}", f"Name{other.slug[2:]}")
    return Fuzzed(home, other, own, foreign, (*foreign, *uids, *names), document)


def _ids(cluster: Cluster, tenant_id: UUID) -> tuple[tuple[str, ...], tuple[str, ...]]:
    ids: list[str] = []
    with cluster.connect(database="gantry") as connection:
        for (table,) in connection.execute(_TABLES).fetchall():
            # Whoever asks must stay a member while they ask.
            if table in {"tenancy_membership", "tenancy_serviceaccount", "tenancy_accesstoken"}:
                continue
            has_id = connection.execute(
                "select 1 from information_schema.columns where table_name = %s and column_name = 'id'", [table]
            ).fetchone()
            if has_id:
                rows = connection.execute(
                    f"select id::text from {table} where tenant_id = %s limit 5",
                    [tenant_id],
                ).fetchall()
                ids += [row[0] for row in rows]
        uids = connection.execute(
            "select study_instance_uid from studies_study where tenant_id = %s", [tenant_id]
        ).fetchall()
    return tuple(ids), tuple(row[0] for row in uids)


def snapshot(cluster: Cluster, world: World) -> dict[str, str]:
    """Return a digest of everything that a tenant has, by table."""
    with cluster.connect(database="gantry") as connection:
        tables = [row[0] for row in connection.execute(_TABLES).fetchall()]
        return {
            table: str(
                connection.execute(
                    f"select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {table} t "
                    "where tenant_id = %s",
                    [world.tenant_id],
                ).fetchall()[0][0]
            )
            for table in tables
        }


def ask_all(fuzzed: Fuzzed, *, examples: int, start: int) -> Answers:
    """Ask each operation `examples` times, half of them by the document and half against it."""
    answers, draw = Answers(), random.Random(start)
    clients = {role: Client(fuzzed.home.slug, token=fuzzed.home.tokens[role]) for role in MEMBER_ROLES}
    for operation in fuzzed.operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _ask(fuzzed, operation, mode, clients, answers, draw, examples // 2)
    return answers


def _ask(
    fuzzed: Fuzzed,
    operation: Any,
    mode: GenerationMode,
    clients: dict[Role, Client],
    answers: Answers,
    draw: random.Random,
    examples: int,
) -> None:
    try:
        cases = operation.as_strategy(generation_mode=mode)
    except Exception as error:
        if mode is GenerationMode.POSITIVE:
            raise AssertionError(operation.label) from error
        return

    @seed(draw.randrange(2**32))
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, role=st.sampled_from(_ASKING))
    def ask(case: Case[Any], role: Role) -> None:
        _call(fuzzed, case, clients[role], answers, draw)

    try:
        ask()
    except BaseException as error:  # an operation that no wrong input can be made of
        if mode is GenerationMode.POSITIVE or "Unsatisfiable" not in type(error).__name__:
            raise


def _call(fuzzed: Fuzzed, case: Case[Any], client: Client, answers: Answers, draw: random.Random) -> None:
    path = case.path.removeprefix("/t/{tenant}")
    for name in case.path_parameters:
        if name == "tenant":
            continue
        pool = draw.choice((fuzzed.own_ids, fuzzed.foreign_ids, fuzzed.foreign_ids))
        path = path.replace(f"{{{name}}}", draw.choice(pool))
    body = None if isinstance(case.body, schemathesis.core.NotSet) else case.body
    content = body if isinstance(body, bytes) else json.dumps(body, default=str).encode() if body is not None else None
    headers = {
        str(key): str(value) for key, value in (case.headers or {}).items() if _is_sendable(str(key), str(value))
    }
    headers.setdefault("Content-Type", "application/json")
    headers.pop("Authorization", None)
    headers.pop("authorization", None)
    query = dict(case.query or {})
    response = client.request(case.method, path, params=query, content=content, headers=headers)
    sent = f"{path} {query} {content!r}"
    answers.statuses[response.status_code] += 1
    if response.status_code >= 500 and response.status_code != 503:
        answers.broken.append(f"{case.method} {sent[:300]}: {response.status_code}")
    text = response.text
    answers.leaked += [f"{case.method} {path}: {word}" for word in fuzzed.foreign if word in text and word not in sent]


def _is_sendable(key: str, value: str) -> bool:
    return key.isascii() and value.isascii() and value.isprintable() and key.replace("-", "").isalnum()

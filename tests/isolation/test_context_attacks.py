"""ADR 0003: what an injector with the application role on one connection cannot do."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings

from gantry.foundation.context import sign_context
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def victim(database: None) -> World:
    return make_world()


def _context(world: World, connection: psycopg.Connection[Any], **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "tenant_id": world.tenant_id,
        "actor_id": uuid4(),
        "backend_pid": connection.info.backend_pid,
        "expires_at": int(time.time()) + 30,
        **changes,
    }
    key = arguments.pop("key", settings.CONTEXT_KEY)
    return sign_context(key, **arguments)


def _count(connection: psycopg.Connection[Any], context: str | None) -> int:
    with connection.transaction():
        if context is not None:
            connection.execute("select set_config('gantry.context', %s, true)", [context])
        row = connection.execute("select count(*) from tenancy_institution").fetchone()
    assert row is not None
    return int(row[0])


def test_rows_are_seen_only_with_a_good_context(victim: World, connect: Callable[[str], Any]) -> None:
    with connect("app") as connection:
        assert _count(connection, _context(victim, connection)) == 1
        assert _count(connection, None) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": int(time.time()) - 1},
        {"backend_pid": 1},
        {"key": bytes(32)},
    ],
    ids=["expired", "another backend", "another key"],
)
def test_no_rows_when_the_context_is_not_ours(
    victim: World, connect: Callable[[str], Any], changes: dict[str, Any]
) -> None:
    with connect("app") as connection:
        assert _count(connection, _context(victim, connection)) == 1
        assert _count(connection, _context(victim, connection, **changes)) == 0


@pytest.mark.parametrize("text", ["", "x", "|" * 4, "a|b|c|d|e", "a|b|c|d|" + "0" * 64, "|" * 40])
def test_no_rows_when_the_context_is_garbage(victim: World, connect: Callable[[str], Any], text: str) -> None:
    with connect("app") as connection:
        assert _count(connection, text) == 0


def test_no_rows_when_the_tenant_is_swapped_in_a_signed_context(connect: Callable[[str], Any]) -> None:
    mine, other = make_world(), make_world()
    with connect("app") as connection:
        own = _context(mine, connection)
        forged = own.replace(str(mine.tenant_id), str(other.tenant_id))
        assert _count(connection, own) == 1
        assert _count(connection, forged) == 0


def test_context_is_worthless_when_replayed_on_another_backend(victim: World, connect: Callable[[str], Any]) -> None:
    with connect("app") as first, connect("app") as second:
        stolen = _context(victim, first)
        assert _count(first, stolen) == 1
        assert _count(second, stolen) == 0


def test_context_ends_with_its_transaction(victim: World, connect: Callable[[str], Any]) -> None:
    with connect("app") as connection:
        assert _count(connection, _context(victim, connection)) == 1
        assert _count(connection, None) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "select inner_pad from gantry.context_key",
        "select password from identity_user",
        "select * from identity_user",
        "select data from mfa_authenticator",
        "select * from audit_auditevent",
        "update audit_auditevent set action = 'x'",
        "delete from audit_auditevent",
        "truncate audit_auditevent",
        "truncate studies_study",
        "alter table studies_study disable row level security",
        "alter table audit_auditevent disable trigger all",
        "set session_replication_role = replica",
        "drop table studies_study",
        "set role gantry_owner",
        "set role gantry_definer",
        "create function gantry.mine() returns int language sql as 'select 1'",
        "create table mine (id int)",
    ],
)
def test_application_role_may_not(connect: Callable[[str], Any], statement: str) -> None:
    with connect("app") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_insert_for_another_tenant_is_refused(connect: Callable[[str], Any]) -> None:
    mine, other = make_world(), make_world()
    with connect("app") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():  # noqa: PT012 - the context is no part of the attack
        connection.execute("select set_config('gantry.context', %s, true)", [_context(mine, connection)])
        connection.execute(
            "insert into tenancy_institution (id, tenant_id, code, name, is_default) values (%s, %s, 'x', 'x', false)",
            [uuid4(), other.tenant_id],
        )


def test_a_thousand_contexts_that_are_not_ours_show_no_row(victim: World, connect: Callable[[str], Any]) -> None:
    draw = random.Random(17)
    mine = make_world()
    tables = ("tenancy_institution", "tenancy_membership", "agreements_agreement", "audit_accesswindow")
    with connect("app") as connection, connect("app") as neighbour:
        now = int(time.time())

        def forge() -> str:
            good = _context(victim, connection)
            fields = good.split("|")
            way = draw.randrange(7)
            if way == 0:  # a key of the attacker's
                return _context(victim, connection, key=draw.randbytes(32))
            if way == 1:  # run out
                return _context(victim, connection, expires_at=now - draw.randint(1, 10**6))
            if way == 2:  # stolen from another backend
                return _context(victim, neighbour)
            if way == 3:  # a tenant put into one's own context
                return "|".join([str(victim.tenant_id), *_context(mine, connection).split("|")[1:]])
            if way == 4:  # a longer life
                return "|".join([*fields[:3], str(int(fields[3]) + draw.randint(1, 10**9)), fields[4]])
            if way == 5:  # one character of the signature
                at = draw.randrange(64)
                digit = draw.choice([c for c in "0123456789abcdef" if c != fields[4][at]])
                return "|".join([*fields[:4], fields[4][:at] + digit + fields[4][at + 1 :]])
            # One byte of the whole
            at = draw.randrange(len(good))
            return good[:at] + draw.choice([c for c in "0g|x" if c != good[at]]) + good[at + 1 :]

        seen = 0
        for _ in range(1000):
            text = forge()
            with connection.transaction():
                connection.execute("select set_config('gantry.context', %s, true)", [text])
                query = f"select count(*) from {draw.choice(tables)}"
                try:
                    with connection.transaction():
                        (count,) = connection.execute(query).fetchone() or (0,)
                except psycopg.errors.DataError:
                    count = 0  # it could not even be read
                seen += count
        assert seen == 0
        assert _count(connection, _context(victim, connection)) == 1

"""The exact line of an event: what is hashed, exported and read back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from gantry.audit.domain import Kind, Outcome
from gantry.audit.line import LedgerEvent, PatientCount, format_line, format_time, leaf_hash, parse_line

EVENT = LedgerEvent(
    log=UUID(int=1),
    index=7,
    id=UUID(int=2),
    occurred_at=datetime(2026, 11, 25, 3, 4, 5, 60, tzinfo=UTC),
    recorded_at=datetime(2026, 11, 25, 3, 4, 6, tzinfo=UTC),
    kind=Kind.QUERY,
    action="studies.searched",
    outcome=Outcome.SUCCESS,
    actor_kind="person",
    actor_id=UUID(int=3),
    role="radiologist",
    place="site",
    session="abc",
    correlation_id="c-1",
    address="192.0.2.7",
    activity="find",
    purpose="TREAT",
    code="allowed",
    clause="Annex 1 2",
    agreement_version="v1",
    data_category="identifying_metadata",
    study_id=UUID(int=4),
    institution_id=UUID(int=5),
    patients=(PatientCount(UUID(int=6), 3), PatientCount(UUID(int=7), 1)),
    detail={"count": "2", "ünïcode": "ß\n"},
    sealed_sha256="ab" * 32,
)


def test_line_is_just_this() -> None:
    """The leaf of every event ever signed depends on it: a change needs a new line version."""
    assert (
        format_line(EVENT)
        == (
            '{"action":"studies.searched","activity":"find","actor":"00000000-0000-0000-0000-000000000003",'
            '"actor_kind":"person","address":"192.0.2.7","agreement":"v1","at":"2026-11-25T03:04:05.000060Z",'
            '"category":"identifying_metadata","clause":"Annex 1 2","code":"allowed","correlation":"c-1",'
            '"detail":{"count":"2","ünïcode":"ß\\n"},"id":"00000000-0000-0000-0000-000000000002","index":7,'
            '"institution":"00000000-0000-0000-0000-000000000005","kind":"query",'
            '"log":"00000000-0000-0000-0000-000000000001","outcome":"success",'
            '"patients":[["00000000-0000-0000-0000-000000000006",3],["00000000-0000-0000-0000-000000000007",1]],'
            '"place":"site","purpose":"TREAT","recorded":"2026-11-25T03:04:06.000000Z","role":"radiologist",'
            f'"sealed":"{"ab" * 32}","session":"abc","study":"00000000-0000-0000-0000-000000000004","v":1}}'
        ).encode()
    )


def test_line_holds_no_line_end_and_is_read_back() -> None:
    line = format_line(EVENT)
    assert b"\n" not in line
    assert parse_line(line) == EVENT


def test_what_is_empty_is_left_out() -> None:
    bare = LedgerEvent(
        log=UUID(int=1),
        index=0,
        id=UUID(int=2),
        occurred_at=EVENT.occurred_at,
        recorded_at=EVENT.recorded_at,
        kind=Kind.AUTHENTICATION,
        action="sign_in.failed",
        outcome=Outcome.FAILURE,
    )
    assert set(json.loads(format_line(bare))) == {
        "v", "log", "index", "id", "at", "recorded", "kind", "action", "outcome",
    }  # fmt: skip
    assert parse_line(format_line(bare)) == bare


@pytest.mark.parametrize("name", [field.name for field in fields(LedgerEvent)])
def test_every_field_is_in_the_hash(name: str) -> None:
    other = {
        "log": UUID(int=9), "id": UUID(int=9), "actor_id": UUID(int=9), "study_id": UUID(int=9),
        "institution_id": UUID(int=9), "index": 8, "kind": Kind.EXPORT, "outcome": Outcome.REFUSED,
        "occurred_at": EVENT.occurred_at + timedelta(microseconds=1),
        "recorded_at": EVENT.recorded_at - timedelta(microseconds=1),
        "patients": EVENT.patients[::-1], "detail": {"count": "3"},
    }.get(name, "x")  # fmt: skip
    changed = replace(EVENT, **{name: other})  # type: ignore[arg-type]  # by name
    assert leaf_hash(format_line(changed)) != leaf_hash(format_line(EVENT))


def test_leaf_is_that_of_rfc_6962() -> None:
    assert leaf_hash(b"line") == hashlib.sha256(b"\x00line").digest()


def test_time_is_in_utc_and_of_one_length() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=3)))
    assert format_time(moment) == "2026-01-02T00:04:05.000000Z"


@pytest.mark.parametrize("line", [b"{}", b"[]", b"null", b'{"v":2}', format_line(EVENT).replace(b'"v":1', b'"v":2')])
def test_line_that_is_none_of_ours_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse_line(line)


def test_keys_are_sorted_within_and_without() -> None:
    line = format_line(replace(EVENT, detail={"z": "1", "a": "2", "": "3"}, index=0)).decode()
    assert json.dumps(json.loads(line), ensure_ascii=False, sort_keys=True, separators=(",", ":")) == line
    assert json.loads(line)["index"] == 0

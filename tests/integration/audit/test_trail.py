"""Every act leaves its event, refusals outlive the rollback, no event means no effect, and no event names a person."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from analysed import Loaded, analyse, deploy, load_study
from audit_trail import Trail
from ct_files import Patient, make_ct, to_files
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service, tenant_scope, unit_of_work
from gantry.kernel.clock import SYSTEM_CLOCK, ManualClock
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Study
from gantry.studies.public import open_study
from site_client import Client, by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def world() -> World:
    return make_world()


#: What is done, as a function of the caller and a loaded study, and the actions that this records.
def _search(client: Client, _: Loaded) -> Any:
    return client.post("/api/v1/worklist/search", json={})


def _open(client: Client, loaded: Loaded) -> Any:
    return client.get(f"/api/v1/studies/{loaded.study_id}")


def _qido(client: Client, _: Loaded) -> Any:
    return client.get("/dicomweb/studies")


def _qido_series(client: Client, loaded: Loaded) -> Any:
    return client.get(f"/dicomweb/studies/{loaded.study_uid}/series")


def _wado(client: Client, loaded: Loaded) -> Any:
    return client.get(f"/dicomweb/studies/{loaded.study_uid}")


def _rendered(client: Client, loaded: Loaded) -> Any:
    return client.get(
        f"/dicomweb/studies/{loaded.study_uid}/series/{loaded.series_uid}/instances/{loaded.sop_uid}/rendered"
    )


def _complete(client: Client, loaded: Loaded) -> Any:
    return client.post(f"/api/v1/studies/{loaded.study_id}/complete")


def _refer(client: Client, loaded: Loaded) -> Any:
    person = str(loaded.world.users[Role.REFERRER])
    return client.post(f"/api/v1/studies/{loaded.study_id}/referrals", json={"person_id": person})


def _quarantine(client: Client, _: Loaded) -> Any:
    return client.get("/api/v1/quarantine")


def _infer(client: Client, loaded: Loaded) -> Any:
    body = {"study_instance_uid": loaded.study_uid, "model": "bone_ct"}
    return client.post("/api/v1/inference", json=body, headers={"Idempotency-Key": uuid4().hex})


def _store(client: Client, loaded: Loaded) -> Any:
    return client.stow(to_files(make_ct(1)))


def _store_bad(client: Client, _: Loaded) -> Any:
    return client.stow([*to_files(make_ct(1)), b"junk"])


ACTS: list[tuple[Callable[[Client, Loaded], Any], list[str]]] = [
    (_search, ["studies.searched"]),
    (_open, ["study.opened"]),
    (_qido, ["studies.searched"]),
    (_qido_series, ["series.searched"]),
    (_wado, ["instances.retrieved"]),
    (_rendered, ["images.shown"]),
    (_complete, ["study.completed"]),
    (_refer, ["study.referred"]),
    (_quarantine, ["quarantine.listed"]),
    (_infer, ["analysis.read", "analysis.started"]),
    (_store, ["instances.stored"]),
    (_store_bad, ["instances.quarantined", "instances.stored"]),
]


@pytest.mark.parametrize(("act", "actions"), ACTS, ids=lambda value: getattr(value, "__name__", ""))
def test_act_leaves_its_event_with_the_clause_that_allowed_it(
    world: World, trail_of: Callable[[World], Trail], act: Callable[[Client, Loaded], Any], actions: list[str]
) -> None:
    deploy(world)
    loaded, trail = load_study(world, 12), trail_of(world)
    answer = act(by_token(world, Role.RADIOLOGIST), loaded)
    assert answer.status_code < 300, answer.text
    events = trail.new()
    assert sorted(event["action"] for event in events) == actions
    for event in events:
        assert event["clause"].startswith("Annex 1")
        assert (event["agreement_version"], event["role"], event["place"]) == ("v1", "radiologist", "site")
        assert event["actor_id"] == world.users[Role.RADIOLOGIST]
        assert event["correlation_id"] == answer.headers["x-correlation-id"]


@pytest.mark.parametrize(("act", "actions"), ACTS, ids=lambda value: getattr(value, "__name__", ""))
def test_refusal_is_recorded_though_the_work_is_rolled_back(
    world: World, trail_of: Callable[[World], Trail], act: Callable[[Client, Loaded], Any], actions: list[str]
) -> None:
    deploy(world)
    loaded, trail = load_study(world, 12), trail_of(world)
    answer = act(by_token(world, Role.ADMIN), loaded)
    assert (answer.status_code, answer.json()["code"]) == (403, "role.not_permitted")
    (event,) = trail.new()
    assert (event["kind"], event["outcome"], event["code"]) == (
        "security_alert",
        "refused",
        "role.not_permitted",
    )
    assert event["correlation_id"] == answer.headers["x-correlation-id"] == answer.json()["correlation_id"]


@contextmanager
def _ledger_closed(connect: Callable[[str], Any]) -> Iterator[None]:
    """Let nobody write the audit trail, as when its disk is full."""
    with connect("owner") as owner:
        rows = owner.execute(
            "select column_name from information_schema.column_privileges where table_name = 'audit_auditevent' "
            "and grantee = 'gantry_app' and privilege_type = 'INSERT'"
        ).fetchall()
        owner.execute("revoke insert on audit_auditevent from gantry_app")
    try:
        yield
    finally:
        with connect("owner") as owner:
            owner.execute(f"grant insert ({', '.join(name for (name,) in rows)}) on audit_auditevent to gantry_app")


@pytest.mark.parametrize(("act", "actions"), ACTS, ids=lambda value: getattr(value, "__name__", ""))
def test_nothing_happens_when_it_cannot_be_recorded(
    world: World, connect: Callable[[str], Any], act: Callable[[Client, Loaded], Any], actions: list[str]
) -> None:
    from gantry.vault.public import get_vault

    deploy(world)
    loaded = load_study(world, 12)
    before = _everything(world, connect)
    blobs = len(list(get_vault().objects.list(world.tenant_id)))
    with _ledger_closed(connect):
        allowed = act(by_token(world, Role.RADIOLOGIST), loaded)
        refused = act(by_token(world, Role.ADMIN), loaded)
    for answer in (allowed, refused):
        assert (answer.status_code, answer.json()["code"]) == (503, "audit.unavailable")
    assert _everything(world, connect) == before
    assert len(list(get_vault().objects.list(world.tenant_id))) == blobs


_TABLES = (
    "studies_patient", "studies_study", "studies_series", "studies_instance", "studies_quarantinedinstance",
    "studies_studygrant", "analyses_analysis", "analyses_finding", "foundation_stream", "foundation_streamevent",
    "audit_accesswindow",
)  # fmt: skip


def _everything(world: World, connect: Callable[[str], Any]) -> dict[str, list[Any]]:
    """Return all rows of a tenant but the ledger's, and its jobs."""
    from django.db import connection

    rows = {}
    with tenant_scope(world.system), unit_of_work(), connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(f"select {table}::text from {table} order by 1")
            rows[table] = cursor.fetchall()
    with connect("app") as app:
        query = "select id, args::text from procrastinate_jobs where args->>'tenant_id' = %s order by id"
        rows["jobs"] = app.execute(query, [str(world.tenant_id)]).fetchall()
    return rows


def test_read_is_recorded_once_in_five_minutes(world: World, trail_of: Callable[[World], Trail]) -> None:
    loaded, trail = load_study(world, 1), trail_of(world)
    start = SYSTEM_CLOCK.now().replace(minute=0, second=0, microsecond=0)
    with world.acting(Role.RADIOLOGIST) as actor:
        for second in (0, 1, 299):
            open_study(actor=actor, study_id=loaded.study_id, clock=_at(start, second))
        assert trail.actions() == ["study.opened"]
        open_study(actor=actor, study_id=loaded.study_id, clock=_at(start, 300))
        assert trail.actions() == ["study.opened"]
    with world.acting(Role.SURGEON) as actor:
        open_study(actor=actor, study_id=loaded.study_id, clock=_at(start, 301))
    assert trail.actions() == ["study.opened"], "somebody else's read is another event"


def _at(start: Any, seconds: int) -> ManualClock:
    from datetime import timedelta

    return ManualClock(start + timedelta(seconds=seconds))


SECRETS = Patient("Geheim^Ganz", "PID-TOPSECRET-77", "19330405", "F")
WORDS = ("geheim", "ganz^", "topsecret", "19330405", "1933-04-05", "acc-secret", "referens")


def _assert_silent(text: str, where: str) -> None:
    for word in WORDS:
        assert word not in text.lower(), f"{word} in {where}"


def test_no_patient_data_in_trail_events_jobs_and_logs(
    world: World, trail_of: Callable[[World], Trail], connect: Callable[[str], Any], capfd: Any, caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # the test's own client
    attributes = {"patient": SECRETS, "AccessionNumber": "ACC-SECRET"}
    loaded = load_study(world, 12, **attributes)
    client = by_token(world, Role.RADIOLOGIST)
    for act, _ in ACTS:
        act(client, loaded)
        act(by_token(world, Role.ADMIN), loaded)
    client.stow([*to_files(make_ct(1, study_uid=loaded.study_uid, patient=Patient("Alius", "OTHER")))])
    client.get("/dicomweb/studies", params={"PatientName": "Geheim*", "PatientID": SECRETS.patient_id})
    client.get("/dicomweb/studies", params={"PatientID": f"{SECRETS.patient_id}\0"})
    client.post("/api/v1/worklist/search", json={"text": "Geheim", "page": "Geheim"})
    analyse(loaded)
    output = capfd.readouterr()
    _assert_silent(output.out + output.err, "the output")
    _assert_silent(caplog.text, "the log")
    _assert_silent(json.dumps(trail_of(world).all(), default=str), "the trail")
    rows = _everything(world, connect)
    for name in ("jobs", "foundation_streamevent", "foundation_stream", "audit_accesswindow"):
        assert rows[name] or name == "jobs"
        _assert_silent(str(rows[name]), name)
    assert "Geheim" in str(rows["studies_patient"]), "the words are the patient's"


def test_no_patient_data_in_the_log_when_the_database_complains(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """PostgreSQL puts the offending row into its message; ours must not carry it on."""
    from gantry.studies import ingest

    monkeypatch.setattr(ingest, "fold_name", lambda text: text * 200)  # longer than its column
    answer = by_token(world, Role.INTEGRATOR).stow(to_files(make_ct(1, patient=SECRETS)))
    assert answer.status_code == 200  # cut to the column's length
    monkeypatch.setattr(ingest, "imaging_facts", _complain)
    answer = by_token(world, Role.INTEGRATOR).stow(to_files(make_ct(1, patient=SECRETS)))
    assert (answer.status_code, answer.json()["code"]) == (500, "gantry.unexpected")
    output = capfd.readouterr()
    assert "request.failed" in output.err
    assert "DataError" in output.err
    _assert_silent(output.out + output.err, "the output")
    _assert_silent(answer.text, "the answer")


def _complain(_: Any) -> Any:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select %s::int", ["Geheim^Ganz"])


def test_event_and_effect_are_rolled_back_together(world: World, trail_of: Callable[[World], Trail]) -> None:
    loaded, trail = load_study(world, 1), trail_of(world)

    class BrokenError(Exception):
        pass

    @atomic_service
    def change() -> None:
        Study.objects.filter(pk=loaded.study_id).update(description="changed")
        record(actor=world.system, entry=Entry(kind=Kind.CONFIGURATION, action="member.ended"))
        raise BrokenError

    with tenant_scope(world.system):
        with pytest.raises(BrokenError):
            change()
        with unit_of_work():
            assert Study.objects.get(pk=loaded.study_id).description != "changed"
    assert trail.actions() == []

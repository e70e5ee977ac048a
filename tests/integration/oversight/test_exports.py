"""Exports of the audit trail: asked for, written, proven by the stand-alone verifier, fetched, destroyed."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from analysed import Loaded, load_study
from gantry.audit.domain import Kind, Outcome
from gantry.audit.projections.atna import check_message
from gantry.audit.projections.balp import check
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.decision import Refused
from gantry.kernel.vocabulary import MEMBER_ROLES, Role
from gantry.oversight.exports.domain import ExportQuery, ExportState, Format
from gantry.oversight.exports.errors import ExportNotReadyError, ExportOverError, TimeRequiredError
from gantry.oversight.exports.services import (
    cancel_export,
    destroy_exports,
    get_export,
    open_bundle,
    request_export,
    run_export,
)
from gantry.oversight.models import AuditExport
from gantry.studies.models import Study
from gantry.vault.public import KeyDestroyedError, ObjectName, get_vault
from sequencing import sequencing
from site_client import by_token
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")


def recent(**narrower: Any) -> ExportQuery:
    now = SYSTEM_CLOCK.now()
    return ExportQuery(since=now - timedelta(hours=1), until=now + timedelta(hours=1), **narrower)


@pytest.fixture(scope="module")
def loaded(database: None) -> Loaded:
    """A tenant in which things have happened."""
    world = make_world()
    loaded = load_study(world, 3)
    client = by_token(world, Role.RADIOLOGIST)
    assert client.get(f"/api/v1/studies/{loaded.study_id}").status_code == 200
    assert client.post("/api/v1/worklist/search", json={}).status_code == 200
    assert by_token(world, Role.ADMIN).get(f"/api/v1/studies/{loaded.study_id}").status_code == 403
    return loaded


@pytest.fixture
def world(loaded: Loaded) -> World:
    return loaded.world


def write(world: World, query: ExportQuery, formats: frozenset[Format] = frozenset(Format)) -> AuditExport:
    """Ask for an export as the compliance officer, and do the worker's part."""
    with world.acting(Role.COMPLIANCE) as actor:
        export = request_export(actor=actor, query=query, formats=formats)
    with tenant_scope(world.system), sequencing():
        run_export(export_id=export.pk)
    with world.acting(Role.COMPLIANCE) as actor:
        return get_export(actor=actor, export_id=export.pk)


def fetch(world: World, export: AuditExport) -> bytes:
    with world.acting(Role.COMPLIANCE) as actor:
        opened = open_bundle(actor=actor, export_id=export.pk)
        with opened.reading() as reader:
            return reader.read()


def verify(folder: Path, bundle: bytes, *arguments: str) -> tuple[int, str]:
    """Run the verifier that lies in the bundle, without anything of ours on its path."""
    path = folder / "bundle.zip"
    path.write_bytes(bundle)
    with zipfile.ZipFile(path) as archive:
        archive.extract("verify.py", folder)
    command = [sys.executable, "-I", str(folder / "verify.py"), str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def manifest_of(bundle: bytes) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(zipfile.ZipFile(io.BytesIO(bundle)).read("manifest.json"))
    return content


def fingerprint_of(bundle: bytes) -> str:
    return str(json.loads(zipfile.ZipFile(io.BytesIO(bundle)).read("keys.json"))["keys"][-1]["fingerprint"])


def pseudonym(loaded: Loaded) -> UUID:
    with loaded.world.reading():
        found: UUID = Study.objects.select_related("patient").get(pk=loaded.study_id).patient.pseudonym
    return found


def test_bundle_is_proven_by_its_own_verifier_when_a_time_was_asked_for(world: World, tmp_path: Path) -> None:
    export = write(world, recent())
    assert (export.state, export.code) == (ExportState.DONE, "")
    bundle = fetch(world, export)
    status, said = verify(tmp_path, bundle, "--key", fingerprint_of(bundle))
    assert status == 0, said
    assert "Nothing is left out" in said
    assert manifest_of(bundle)["mode"] == "range"


def test_bundle_is_proven_complete_for_one_patient(loaded: Loaded, tmp_path: Path) -> None:
    bundle = fetch(loaded.world, write(loaded.world, recent(patient=pseudonym(loaded))))
    status, said = verify(tmp_path, bundle, "--key", fingerprint_of(bundle))
    assert status == 0, said
    manifest = manifest_of(bundle)
    assert manifest["mode"] == "patient"
    assert manifest["counts"]["events"] >= 3
    assert "all" in manifest["statement"]


def test_filtered_bundle_says_what_it_does_not_prove(world: World, tmp_path: Path) -> None:
    bundle = fetch(world, write(world, recent(kinds=frozenset({Kind.ACCESSED}))))
    status, said = verify(tmp_path, bundle, "--key", fingerprint_of(bundle))
    assert status == 0, said
    manifest = manifest_of(bundle)
    assert manifest["mode"] == "filtered"
    assert set(manifest["counts"]["by_kind"]) == {"instances_accessed"}
    assert "cannot be proven" in manifest["statement"]


def test_bundle_is_empty_and_proven_when_nothing_matches(world: World, tmp_path: Path) -> None:
    bundle = fetch(world, write(world, recent(role="nobody")))
    status, said = verify(tmp_path, bundle, "--key", fingerprint_of(bundle))
    assert status == 0, said
    assert manifest_of(bundle)["counts"]["events"] == 0


def test_origin_is_not_proven_without_the_key_that_was_pinned(world: World, tmp_path: Path) -> None:
    bundle = fetch(world, write(world, recent(), frozenset()))
    assert verify(tmp_path, bundle)[0] == 3


def test_formats_tell_of_the_same_events_and_keep_their_rules(world: World) -> None:
    bundle = fetch(world, write(world, recent()))
    archive = zipfile.ZipFile(io.BytesIO(bundle))
    assert archive.testzip() is None
    counts = manifest_of(bundle)["counts"]
    lines = [json.loads(line) for line in archive.read("events/events.jsonl").splitlines()]
    fhir = [json.loads(line) for line in archive.read("fhir/audit-events.ndjson").splitlines()]
    rows = list(csv.DictReader(io.StringIO(archive.read("csv/events.csv").decode(), newline="")))
    _, root, *messages, end = archive.read("dicom/audit-messages.xml").splitlines()
    ids = {line["id"] for line in lines}
    assert ids == {row["event_id"] for row in rows} == {str(one["id"])[:36] for one in fhir}
    assert len(lines) == len(rows) == counts["events"]
    assert {one["events"] for one in counts["by_format"].values()} == {counts["events"]}
    assert (len(fhir), len(messages)) == tuple(counts["by_format"][one]["records"] for one in ("fhir", "dicom"))
    assert [finding for one in fhir for finding in check(one)] == []
    assert [finding for one in messages for finding in check_message(one)] == []
    assert (root, end) == (b"<AuditMessages>", b"</AuditMessages>")
    assert archive.read("summary.pdf").startswith(b"%PDF-")
    assert b"HOW TO CHECK IT" in archive.read("README.txt")


def test_names_are_joined_and_lines_hold_none(loaded: Loaded) -> None:
    world = loaded.world
    archive = zipfile.ZipFile(io.BytesIO(fetch(world, write(world, recent()))))
    name = str(loaded.datasets[0].PatientID)
    assert name.encode() in archive.read("fhir/audit-events.ndjson")
    assert f"Radiologist {world.slug}".encode() in archive.read("csv/events.csv")
    lines = archive.read("events/events.jsonl")
    assert name.encode() not in lines
    assert b"Radiologist" not in lines


def test_export_is_itself_in_the_trail(world: World, trail_of: Any) -> None:
    trail = trail_of(world)
    export = write(world, recent())
    fetch(world, export)
    events = trail.new()
    assert [event["action"] for event in events] == [
        "audit.export_requested", "audit.exported", "audit.export_downloaded",
    ]  # fmt: skip
    assert [event["kind"] for event in events] == ["audit_log_used", "audit_log_used", "export"]
    assert all(event["detail"]["export_id"] == str(export.pk) for event in events)


def test_next_export_holds_the_events_of_the_one_before(world: World) -> None:
    first = write(world, recent(), frozenset())
    archive = zipfile.ZipFile(io.BytesIO(fetch(world, write(world, recent(), frozenset()))))
    assert str(first.pk).encode() in archive.read("events/events.jsonl")
    assert (
        json.loads(archive.read("proofs/consistency.json"))[0]["size"]
        <= manifest_of(fetch(world, first))["range"]["after"] + 9
    )


@pytest.mark.parametrize("role", [role for role in MEMBER_ROLES if role is not Role.COMPLIANCE])
def test_only_compliance_may_ask(world: World, role: Role) -> None:
    with world.acting(role) as actor, pytest.raises(Refused):
        request_export(actor=actor, query=recent(), formats=frozenset(Format))


def test_export_holds_its_own_tenant_s_events_alone(world: World, database: None) -> None:
    other = make_world()
    lines = zipfile.ZipFile(io.BytesIO(fetch(other, write(other, recent(), frozenset())))).read("events/events.jsonl")
    assert str(other.tenant_id).encode() in lines
    assert str(world.tenant_id).encode() not in lines


def test_time_is_required(world: World) -> None:
    now = SYSTEM_CLOCK.now()
    for since, until in ((now, now), (now, now - timedelta(days=1)), (now - timedelta(days=9000), now)):
        with world.acting(Role.COMPLIANCE) as actor, pytest.raises(TimeRequiredError):
            request_export(actor=actor, query=ExportQuery(since, until), formats=frozenset(Format))


def test_cancelled_export_is_not_written(world: World) -> None:
    with world.acting(Role.COMPLIANCE) as actor:
        export = request_export(actor=actor, query=recent(), formats=frozenset(Format))
        cancel_export(actor=actor, export_id=export.pk)
    with tenant_scope(world.system):
        run_export(export_id=export.pk)
    with world.acting(Role.COMPLIANCE) as actor:
        assert get_export(actor=actor, export_id=export.pk).state == ExportState.CANCELLED
        with pytest.raises(ExportNotReadyError):
            open_bundle(actor=actor, export_id=export.pk)
        with pytest.raises(ExportOverError):
            cancel_export(actor=actor, export_id=export.pk)


def test_overtaken_worker_writes_nothing_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker took the export while this one was writing."""
    from gantry.oversight.exports import services
    from gantry.oversight.exports.bundle import write_bundle

    with world.acting(Role.COMPLIANCE) as actor:
        export = request_export(actor=actor, query=recent(), formats=frozenset())
    kept: list[Any] = []

    def overtake(*arguments: Any) -> Any:
        bundle = write_bundle(*arguments)
        with unit_of_work():
            AuditExport.objects.filter(pk=export.pk).update(attempt=9)
        kept.append(bundle)
        return bundle

    monkeypatch.setattr(services, "write_bundle", overtake)
    with tenant_scope(world.system), sequencing():
        run_export(export_id=export.pk)
    with world.reading():
        row = AuditExport.objects.get(pk=export.pk)
    assert (row.state, row.object_id) == (ExportState.RUNNING, None)
    (bundle,) = kept
    names = [blob.name for blob in get_vault().objects.list(world.tenant_id)]
    assert ObjectName(world.tenant_id, bundle.sealed.object_id) not in names


def test_nothing_but_the_bundle_is_left_in_the_store(world: World) -> None:
    before = {blob.name for blob in get_vault().objects.list(world.tenant_id)}
    export = write(world, recent())
    assert export.object_id is not None
    after = {blob.name for blob in get_vault().objects.list(world.tenant_id)}
    assert after - before == {ObjectName(world.tenant_id, export.object_id)}


def test_bundle_cannot_be_read_when_it_was_destroyed(database: None) -> None:
    world = make_world()
    export = write(world, recent(), frozenset())
    with world.acting(Role.COMPLIANCE) as actor:
        opened = open_bundle(actor=actor, export_id=export.pk)
    with tenant_scope(world.system):
        assert destroy_exports() == 0
        assert destroy_exports(names_patients=True) == 1
    with pytest.raises(KeyDestroyedError), opened.reading():
        pass
    with world.acting(Role.COMPLIANCE) as actor, pytest.raises(ExportNotReadyError):
        open_bundle(actor=actor, export_id=export.pk)


def test_export_of_nobody_is_absent(world: World) -> None:
    from gantry.kernel.errors import NotFoundError

    def ask(actor: Actor) -> None:
        get_export(actor=actor, export_id=uuid4())

    with world.acting(Role.COMPLIANCE) as actor, pytest.raises(NotFoundError):
        ask(actor)


def test_search_is_in_the_bundle_as_it_was_sent(world: World) -> None:
    assert by_token(world, Role.RADIOLOGIST).get("/dicomweb/studies?PatientName=Geheim*").status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(fetch(world, write(world, recent(kinds=frozenset({Kind.QUERY}))))))
    queries = [
        base64.b64decode(entity["query"])
        for line in archive.read("fhir/audit-events.ndjson").splitlines()
        for entity in json.loads(line)["entity"]
        if "query" in entity
    ]
    assert f"GET /t/{world.slug}/dicomweb/studies?PatientName=Geheim*".encode() in queries
    assert b"Geheim" not in archive.read("events/events.jsonl")


def test_query_survives_its_row() -> None:
    now = SYSTEM_CLOCK.now()
    query = ExportQuery(
        since=now, until=now + timedelta(days=1), patient=uuid4(), actor_id=uuid4(), role="surgeon", study_id=uuid4(),
        activity="view", purpose="BTG", address="10.0.0.1", kinds=frozenset({Kind.QUERY}), actions=frozenset({"study.opened"}),
        outcomes=frozenset({Outcome.REFUSED}),
    )  # fmt: skip
    assert ExportQuery.from_json(json.loads(json.dumps(query.to_json()))) == query

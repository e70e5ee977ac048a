"""Events of every kind, as the ledger hands them out; for tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from gantry.audit.domain import Kind, Outcome
from gantry.audit.line import LedgerEvent, PatientCount
from gantry.audit.projections.names import Names, PatientName, Recorder

LOG = UUID("11111111-2222-4333-8444-555555555555")
READER, OTHER, STUDY, PATIENT, SECOND = (uuid5(LOG, name) for name in ("reader", "other", "study", "patient", "second"))
START = datetime(2026, 3, 1, 8, tzinfo=UTC)
RECORDER = Recorder(host="gantry.example", base_url="https://gantry.example/t/north", site="North Hospitals")
NAMES = Names(
    people={READER: "Dr. Ada Reader", OTHER: "Dr. Bob Referrer"},
    patients={PATIENT: PatientName("P-17", "north", "Doe^Jane"), SECOND: PatientName("P-18", "north", "Roe^Rick")},
    studies={STUDY: "1.2.840.99.1"},
)


def make_event(index: int = 0, **changes: Any) -> LedgerEvent:
    """Return a read of a study by a person, with changes."""
    event = LedgerEvent(
        log=LOG,
        index=index,
        id=uuid5(LOG, f"event {index}"),
        occurred_at=START + timedelta(seconds=index),
        recorded_at=START + timedelta(seconds=index, milliseconds=3),
        kind=Kind.ACCESSED,
        action="study.opened",
        outcome=Outcome.SUCCESS,
        actor_kind="person",
        actor_id=READER,
        role="radiologist",
        place="site",
        address="10.1.2.3",
        session="0123456789abcdef0123456789abcdef",
        correlation_id="7d9c6f1e",
        activity="view",
        purpose="TREAT",
        code="allowed",
        clause="Annex 1 3",
        agreement_version="v1",
        data_category="pixel_data",
        study_id=STUDY,
        patients=(PatientCount(PATIENT, 1),),
    )
    return replace(event, **changes)


def _plain(index: int, kind: Kind, action: str, **changes: Any) -> LedgerEvent:
    nothing: dict[str, Any] = {
        "study_id": None, "patients": (), "activity": "", "purpose": "", "clause": "", "agreement_version": "",
        "data_category": "",
    }  # fmt: skip
    return make_event(index, kind=kind, action=action, **{**nothing, **changes})


#: The nine kinds of reliability.md §1.1, each by the name there; `access` in its four ways.
NINE: dict[str, list[LedgerEvent]] = {
    "login": [
        _plain(0, Kind.AUTHENTICATION, "sign_in.succeeded", detail={"methods": "password"}),
        _plain(1, Kind.AUTHENTICATION, "sign_in.failed", outcome=Outcome.FAILURE, actor_id=None, detail={"account": "ab12"}),
        _plain(2, Kind.AUTHENTICATION, "session.timed_out", actor_kind=""),
        _plain(3, Kind.AUTHENTICATION, "sign_out"),
    ],
    "access": [
        make_event(10),
        make_event(11, action="series.packed", actor_kind="system", address="", role="system"),
        make_event(12, action="study.completed"),
        make_event(13, action="study.opened", patients=(), study_id=None),
    ],
    "transfer": [
        make_event(20, kind=Kind.TRANSFERRED, action="instances.stored", detail={"instances": "12"}),
        make_event(21, kind=Kind.TRANSFERRED, action="transfer.begun", actor_kind="service"),
        make_event(22, kind=Kind.TRANSFERRED, action="transfer.finished", actor_kind="service"),
    ],
    "export": [
        make_event(30, kind=Kind.EXPORT, action="audit.export_downloaded", study_id=None, patients=(), detail={"export_id": "e"}),
    ],
    "query": [
        _plain(40, Kind.QUERY, "studies.searched", activity="find", detail={"answers": "2"},
               patients=(PatientCount(PATIENT, 2), PatientCount(SECOND, 1))),
        _plain(41, Kind.QUERY, "studies.searched", activity="find"),
    ],
    "alert": [
        make_event(50, kind=Kind.SECURITY_ALERT, action="view.refused", outcome=Outcome.REFUSED, code="agreement.not_permitted"),
        _plain(51, Kind.SECURITY_ALERT, "render_pod.misnamed", outcome=Outcome.REFUSED, actor_id=None, actor_kind="",
               address="", detail={"pod": "pod-1"}),
        _plain(52, Kind.CONFIGURATION, "member.added"),
    ],
    "audit": [_plain(60, Kind.AUDIT_READ, "audit.exported", detail={"export_id": "e"})],
    "inference": [
        make_event(70, kind=Kind.INFERENCE, action="analysis.started", detail={"model": "bone_ct", "version": "1"}),
        make_event(71, kind=Kind.INFERENCE, action="analysis.finished", actor_kind="system", address="",
                   detail={"model": "bone_ct", "version": "1"}),
        make_event(72, kind=Kind.REVIEW, action="finding.accept", detail={"finding": "f"}),
    ],
    "disclosure": [
        make_event(80, kind=Kind.DISCLOSURE, action="study.referred", detail={"to": str(OTHER), "until": "2026-04-01"}),
    ],
}  # fmt: skip
ALL = [event for events in NINE.values() for event in events]

"""FHIR R4 AuditEvent after IHE Basic Audit Log Patterns (BALP), one JSON object a line.

A query that named N patients becomes N resources, a disclosure one a patient (BALP content, "PatientQuery"). Profiles are
claimed in `meta.profile` only where the event is a success, as BALP's patterns are for successes.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from gantry.audit.domain import Kind, Outcome
from gantry.audit.line import LedgerEvent, format_time
from gantry.audit.projections.names import (
    NOTHING_JOINED,
    Names,
    Recorder,
    act_of,
    is_person,
    network_type,
    outcome_code,
    user_id,
)
from gantry.audit.vocabulary import LOGIN

Json = dict[str, Any]

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
PROVENANCE_PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
SECURITY_ROLE: Final = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
ROLE_CLASS: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
OBSERVATION_VALUE: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"
BALP: Final = "https://profiles.ihe.net/ITI/BALP"
BALP_ENTITY: Final = f"{BALP}/CodeSystem/BasicAuditEntityType"
BALP_AUTHZ: Final = f"{BALP}/CodeSystem/AuthZsubType"
PROFILE: Final = f"{BALP}/StructureDefinition/IHE.BasicAudit."
#: Codes of our own: what BALP and DICOM have no word for.
GANTRY: Final = "urn:gantry:audit"

_INTERACTIONS: Final[Mapping[str, str]] = {"C": "create", "R": "read", "U": "update", "D": "delete"}
_PROFILES: Final[Mapping[str, str]] = {"C": "Create", "R": "Read", "U": "Update", "D": "Delete"}
#: Kinds that have an event of their own in PS3.15, with code, words and action.
_OWN_TYPES: Final[Mapping[Kind, tuple[str, str, str]]] = {
    Kind.AUTHENTICATION: ("110114", "User Authentication", "E"),
    Kind.SECURITY_ALERT: ("110113", "Security Alert", "E"),
    Kind.CONFIGURATION: ("110113", "Security Alert", "E"),
    Kind.EXPORT: ("110106", "Export", "R"),
    Kind.AUDIT_READ: ("110101", "Audit Log Used", "R"),
    Kind.DISCLOSURE: ("110106", "Export", "R"),
}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_fhir(event: LedgerEvent, recorder: Recorder, names: Names = NOTHING_JOINED) -> list[Json]:
    """Return the resources of one event: one, or one a patient."""
    patients: list[UUID | None] = [patient.pseudonym for patient in event.patients] or [None]
    return [_resource(event, recorder, names, patient, at) for at, patient in enumerate(patients)]


def to_ndjson(event: LedgerEvent, recorder: Recorder, names: Names = NOTHING_JOINED) -> Iterator[bytes]:
    """Yield the resources of one event as lines."""
    for resource in to_fhir(event, recorder, names):
        yield _encode(resource).encode() + b"\n"


def _resource(event: LedgerEvent, recorder: Recorder, names: Names, patient: UUID | None, at: int) -> Json:
    crud = _crud(event)
    resource: Json = {
        "resourceType": "AuditEvent",
        # Stable: the same event is the same resource in every export and feed.
        "id": str(event.id) if len(event.patients) <= 1 else f"{event.id}.{at + 1}"[:64],
        "type": _type(event),
        "subtype": _subtypes(event, crud),
        "action": _own_action(event) or crud,
        "recorded": format_time(event.occurred_at),
        "outcome": outcome_code(event),
        "agent": _agents(event, recorder, names, crud),
        "source": {
            "site": recorder.site,
            "observer": _device(recorder),
            "type": [_coding(SOURCE_TYPE, "4", "Application Server")],
        },
        "entity": _entities(event, recorder, names, patient, crud),
    }
    if event.outcome is not Outcome.SUCCESS:
        resource["outcomeDesc"] = event.code or event.detail.get("code", "") or str(event.outcome)
    if event.purpose:
        resource["purposeOfEvent"] = [_concept(ACT_REASON, event.purpose)]
    profile = _profile(event, crud, patient)
    if profile:
        resource = {"resourceType": "AuditEvent", "id": resource["id"], "meta": {"profile": [profile]}, **resource}
    return resource


def _crud(event: LedgerEvent) -> str:
    crud = act_of(event).crud
    if event.kind is Kind.QUERY:
        return "E"
    # BALP has no pattern for "execute" on a patient's data: to run a model is to read its inputs.
    return "R" if crud == "E" and event.kind not in _OWN_TYPES else crud


def _own_action(event: LedgerEvent) -> str:
    return _OWN_TYPES[event.kind][2] if event.kind in _OWN_TYPES else ""


def _type(event: LedgerEvent) -> Json:
    if event.kind in _OWN_TYPES:
        code, display, _ = _OWN_TYPES[event.kind]
        return _coding(DCM, code, display)
    return _coding(EVENT_TYPE, "rest", "Restful Operation")


def _subtypes(event: LedgerEvent, crud: str) -> list[Json]:
    own = _coding(GANTRY, event.action, act_of(event).sentence)
    if _is_consent_decision(event):
        return [_coding(BALP_AUTHZ, "AuthZ-Consent"), own]
    if event.kind is Kind.DISCLOSURE:
        return [_coding(LIFECYCLE, "disclose", "Disclose Record Lifecycle Event"), own]
    if event.kind is Kind.AUTHENTICATION:
        code = act_of(event).type_code
        return [_coding(DCM, code, "Login" if code == LOGIN else "Logout"), own]
    if event.kind in {Kind.SECURITY_ALERT, Kind.CONFIGURATION}:
        return [_coding(DCM, act_of(event).type_code or "110132"), own]
    if event.kind in _OWN_TYPES:
        return [own]
    interaction = _coding(INTERACTION, "search" if event.kind is Kind.QUERY else _INTERACTIONS[crud])
    return [interaction] if crud == "D" else [interaction, own]


def _is_consent_decision(event: LedgerEvent) -> bool:
    """Tell whether this is a "no" of the gate under an agreement, about a known patient, to a person (BALP AuthZconsent)."""
    is_no = event.kind is Kind.SECURITY_ALERT and event.action.endswith(".refused")
    return is_no and bool(event.agreement_version and event.patients) and is_person(event)


def _agents(event: LedgerEvent, recorder: Recorder, names: Names, crud: str) -> list[Json]:
    if _is_consent_decision(event):
        return _agents_of_decision(event, recorder, names)
    client, server = _client(event, names), _server(recorder)
    reverse = event.kind is Kind.QUERY or crud in {"C", "U"}
    if event.kind is Kind.DISCLOSURE:
        return [
            {**server, "type": _dcm("110153", "Source Role ID"), "who": _device(recorder)},
            _recipient(event, recorder, names),
            *_user(event, names, PARTICIPATION, "AUT", "Author"),
        ]
    if crud == "D" and event.kind not in _OWN_TYPES:
        client["type"] = _dcm("110150", "Application")
        server["type"] = _concept(PROVENANCE_PARTICIPANT, "custodian", "Custodian")
    elif reverse:
        client["type"], server["type"] = _dcm("110153", "Source Role ID"), _dcm("110152", "Destination Role ID")
    else:
        client["type"], server["type"] = _dcm("110152", "Destination Role ID"), _dcm("110153", "Source Role ID")
    role = ("AUT", "Author") if crud in {"C", "U", "D"} else ("IRCP", "information recipient")
    return [client, server, *_user(event, names, PARTICIPATION, *role)]


def _client(event: LedgerEvent, names: Names) -> Json:
    """Return the client: the node that the request came from, or the platform's own worker."""
    agent: Json = {"requestor": not is_person(event)}
    if is_person(event):
        agent["who"] = {"identifier": {"value": event.address or "unknown"}}
    else:
        display = names.people.get(event.actor_id) if event.actor_id else None
        agent["who"] = {"identifier": {"value": user_id(event)}, **({"display": display} if display else {})}
    agent["network"] = (
        {"address": event.address, "type": network_type(event.address)}
        if event.address
        else {"address": "localhost" if event.actor_kind == "system" else "unknown", "type": "1"}
    )
    return agent


def _server(recorder: Recorder) -> Json:
    return {
        "who": {"identifier": {"value": recorder.host}},
        "requestor": False,
        "network": {"address": recorder.base_url, "type": "5"},
    }


def _user(event: LedgerEvent, names: Names, system: str, code: str, display: str) -> list[Json]:
    if not is_person(event):
        return []
    name = names.people.get(event.actor_id, "") if event.actor_id else ""
    agent: Json = {
        "type": _concept(system, code, display),
        "who": {"identifier": {"value": user_id(event)}, **({"display": name} if name else {})},
        "requestor": True,
    }
    if event.role:
        agent["role"] = [_concept(GANTRY, event.role)]
    if name:
        agent["name"] = name
    if event.session and _crud(event) != "D":
        # Evidence of the token or session: what stands for it, never the thing itself (BALP "opaque token").
        agent["policy"] = [f"urn:gantry:session:{event.session[:32]}"]
    if event.purpose:
        agent["purposeOfUse"] = [_concept(ACT_REASON, event.purpose)]
    return [agent]


def _recipient(event: LedgerEvent, recorder: Recorder, names: Names) -> Json:
    """Return to whom data was released: a member who reads it here, or a receiver elsewhere."""
    to, url, name = event.detail.get("to", ""), event.detail.get("url", ""), ""
    with contextlib.suppress(ValueError):  # somebody outside has no id of ours
        name = names.people.get(UUID(to), "")
    return {
        "type": _dcm("110152", "Destination Role ID"),
        "who": {"identifier": {"value": to or "unknown"}, **({"display": name} if name else {})},
        "requestor": False,
        "network": {"address": url or recorder.base_url, "type": "5"},
    }


def _agents_of_decision(event: LedgerEvent, recorder: Recorder, names: Names) -> list[Json]:
    client = _client(event, names)
    client["type"] = _dcm("110150", "Application")
    return [
        client,
        *_user(event, names, PARTICIPATION, "IRCP", "information recipient"),
        {
            "type": _concept(ROLE_CLASS, "PROV", "healthcare provider"),
            "who": {"identifier": {"value": str(event.log)}, "display": recorder.site},
            "requestor": False,
        },
        {
            "type": _concept(SECURITY_ROLE, "authserver", "authorization server"),
            "who": _device(recorder),
            "requestor": False,
        },
    ]


def _entities(event: LedgerEvent, recorder: Recorder, names: Names, patient: UUID | None, crud: str) -> list[Json]:
    entities: list[Json] = []
    if patient is not None:
        entities.append(_patient(patient, names))
    if _is_consent_decision(event):
        value = f"{event.agreement_version} {event.clause}".strip()
        what = {"identifier": {"system": "urn:gantry:agreement", "value": value}}
        return [*entities, {"type": _coding(RESOURCE_TYPES, "Consent"), "what": what}]
    entities.append(_query(event, names) if event.kind is Kind.QUERY else _data(event, recorder, names, crud))
    if event.kind is Kind.INFERENCE:
        entities.append(_processing(event))
    if event.clause or event.agreement_version:
        value = f"{event.agreement_version} {event.clause}".strip()
        what = {"identifier": {"system": "urn:gantry:agreement", "value": value}}
        entities.append({"type": _coding(RESOURCE_TYPES, "Consent"), "what": what})
    if event.correlation_id:
        identifier = {"value": event.correlation_id}
        entities.append({"type": _coding(BALP_ENTITY, "XrequestId"), "what": {"identifier": identifier}})
    return entities


def _patient(pseudonym: UUID, names: Names) -> Json:
    """Return the patient: as the hospital knows them while that can be told, else the pseudonym alone."""
    what: Json = {"type": "Patient", "identifier": {"system": "urn:gantry:pseudonym", "value": str(pseudonym)}}
    known = names.patients.get(pseudonym)
    if known is not None:
        system = {"system": f"urn:gantry:issuer:{known.issuer}"} if known.issuer else {}
        what["identifier"] = {**system, "value": known.patient_id or str(pseudonym)}
        if known.name:
            what["display"] = known.name
    return {
        "type": _coding(ENTITY_TYPE, "1", "Person"),
        "role": _coding(OBJECT_ROLE, "1", "Patient"),
        "what": what,
    }


def _data(event: LedgerEvent, recorder: Recorder, names: Names, crud: str) -> Json:
    role = ("4", "Domain Resource")
    if event.kind in {Kind.REVIEW, Kind.INFERENCE}:
        role = ("3", "Report")
    elif event.kind is Kind.AUDIT_READ:
        role = ("13", "Security Resource")
    if event.study_id is not None:
        uid = f"urn:oid:{names.study_uid(event.study_id)}"
        what: Json = {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": uid}}
    else:
        what = {"identifier": {"system": GANTRY, "value": _object_of(event, recorder)}}
    entity: Json = {
        "what": what,
        "type": _coding(ENTITY_TYPE, "2", "System Object"),
        "role": _coding(OBJECT_ROLE, *role),
    }
    if event.kind in {Kind.REVIEW, Kind.INFERENCE} or "ai" in event.action:
        entity["securityLabel"] = [_coding(OBSERVATION_VALUE, "AIAST", "artificial intelligence asserted")]
    if crud != "D" and event.detail:
        entity["detail"] = [
            {"type": key, "valueString": str(value) or "-"} for key, value in sorted(event.detail.items())
        ]
    return entity


def _object_of(event: LedgerEvent, recorder: Recorder) -> str:
    if event.kind is Kind.AUDIT_READ:
        return f"{recorder.base_url}/fhir/AuditEvent"
    for key in ("export_id", "agreement_id", "membership_id", "token_id", "institution_id", "session"):
        if event.detail.get(key):
            return f"{key}:{event.detail[key]}"
    return event.action


def _query(event: LedgerEvent, names: Names) -> Json:
    """Return the query: as it was sent, where that can still be opened; what was cleaned of it as description."""
    cleaned = " ".join(f"{key}={value}" for key, value in sorted(event.detail.items()))
    verbatim = names.verbatim.get(event.id)
    raw = verbatim if verbatim is not None else f"{event.action} {cleaned}".strip().encode()
    entity: Json = {
        "type": _coding(ENTITY_TYPE, "2", "System Object"),
        "role": _coding(OBJECT_ROLE, "24", "Query"),
        "query": base64.b64encode(raw).decode(),
    }
    if cleaned:
        entity["description"] = cleaned
    return entity


def _processing(event: LedgerEvent) -> Json:
    """Return the model that worked: PS3.15's object role 26, "Processing Element"."""
    value = ":".join(filter(None, (event.detail.get("model", "model"), event.detail.get("version", ""))))
    return {
        "what": {"type": "Device", "identifier": {"system": f"{GANTRY}:model", "value": value}},
        "type": _coding(GANTRY, "processing-element", "Processing Element"),
    }


def _profile(event: LedgerEvent, crud: str, patient: UUID | None) -> str:
    if _is_consent_decision(event):
        return f"{PROFILE}AuthZconsent"
    if event.outcome is not Outcome.SUCCESS:
        return ""
    if event.kind is Kind.DISCLOSURE:
        return f"{PROFILE}PrivacyDisclosure.Source" if patient is not None else ""
    if event.kind in _OWN_TYPES:
        return ""
    name = "Query" if event.kind is Kind.QUERY else _PROFILES[crud]
    return f"{PROFILE}Patient{name}" if patient is not None else f"{PROFILE}{name}"


def _device(recorder: Recorder) -> Json:
    return {"type": "Device", "identifier": {"system": "urn:gantry:host", "value": recorder.host}}


def _coding(system: str, code: str, display: str = "") -> Json:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def _concept(system: str, code: str, display: str = "") -> Json:
    return {"coding": [_coding(system, code, display)]}


def _dcm(code: str, display: str) -> Json:
    return _concept(DCM, code, display)

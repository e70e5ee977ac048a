"""DICOM audit messages (PS3.15 A.5), one XML document an event or, where the standard has one patient a message, a patient.

Element order and attribute names after the schema of A.5.1; what each kind holds after the tables of A.5.3.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID
from xml.sax.saxutils import quoteattr

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

#: EventID by kind (PS3.16 CID 400).
EVENT_IDS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.AUTHENTICATION: ("110114", "User Authentication"),
    Kind.ACCESSED: ("110103", "DICOM Instances Accessed"),
    Kind.TRANSFERRED: ("110104", "DICOM Instances Transferred"),
    Kind.EXPORT: ("110106", "Export"),
    Kind.QUERY: ("110112", "Query"),
    Kind.SECURITY_ALERT: ("110113", "Security Alert"),
    Kind.AUDIT_READ: ("110101", "Audit Log Used"),
    Kind.INFERENCE: ("110103", "DICOM Instances Accessed"),
    Kind.REVIEW: ("110103", "DICOM Instances Accessed"),
    Kind.CONFIGURATION: ("110113", "Security Alert"),
    Kind.DISCLOSURE: ("110106", "Export"),
}
#: Actions with an EventID of their own.
SPECIAL_IDS: Final[Mapping[str, tuple[str, str]]] = {
    "transfer.begun": ("110102", "Begin Transferring DICOM Instances"),
    "study.erased": ("110105", "DICOM Study Deleted"),
}
#: One patient a message (A.5.3.4 and its like).
_ONE_PATIENT: Final = frozenset({"110102", "110103", "110104", "110105"})
_TYPE_NAMES: Final[Mapping[str, str]] = {
    "110122": "Login", "110123": "Logout", "110126": "Node Authentication", "110127": "Emergency Override Started",
    "110128": "Network Configuration", "110129": "Security Configuration", "110130": "Hardware Configuration",
    "110131": "Software Configuration", "110132": "Use of Restricted Function", "110133": "Audit Recording Stopped",
    "110134": "Audit Recording Started", "110135": "Object Security Attributes Changed",
    "110136": "Security Roles Changed", "110137": "User security Attributes Changed",
    "110138": "Emergency Override Stopped", "110139": "Remote Service Operation Started",
    "110140": "Remote Service Operation Stopped", "110141": "Local Service Operation Started",
    "110142": "Local Service Operation Stopped",
}  # fmt: skip
SOURCE_ROLE, DESTINATION_ROLE, MEDIA_ROLE, APPLICATION_ROLE = (
    ("110153", "Source Role ID"), ("110152", "Destination Role ID"), ("110154", "Source Media"), ("110150", "Application"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Participant:
    user: str
    is_requestor: bool
    role: tuple[str, str] | None = None
    name: str = ""
    network: str = ""
    network_type: str = ""
    media: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Object:
    id: str
    id_type: tuple[str, str, str]
    type_code: str
    role: str = ""
    name: str = ""
    query: bytes | None = None
    detail: tuple[tuple[str, str], ...] = ()
    life_cycle: str = ""


_PATIENT_ID: Final = ("2", "RFC-3881", "Patient Number")
_STUDY_UID: Final = ("110180", "DCM", "Study Instance UID")
_URI: Final = ("12", "RFC-3881", "URI")
_SOP_CLASS: Final = ("110181", "DCM", "SOP Class UID")
_ALERT: Final = ("110182", "DCM", "Node ID")


def to_messages(event: LedgerEvent, recorder: Recorder, names: Names = NOTHING_JOINED) -> Iterator[bytes]:
    """Yield the messages of one event, without XML declaration and line end."""
    code, meaning = event_id(event)
    patients: list[UUID | None] = [one.pseudonym for one in event.patients]
    if code in _ONE_PATIENT:
        for patient in patients or [None]:
            yield _message(event, recorder, names, code, meaning, [patient])
    else:
        yield _message(event, recorder, names, code, meaning, patients)


def event_id(event: LedgerEvent) -> tuple[str, str]:
    """Return the EventID of an event: its code and meaning."""
    return SPECIAL_IDS.get(event.action) or EVENT_IDS[event.kind]


def action_code(event: LedgerEvent, code: str) -> str:
    """Return the EventActionCode that the table of this EventID allows."""
    if code in {"110114", "110113", "110112", "110102"}:
        return "E"
    if code in {"110101", "110106"}:
        return "R"
    if code == "110105":
        return "D"
    crud = act_of(event).crud
    return "R" if crud == "E" else crud


def _message(
    event: LedgerEvent,
    recorder: Recorder,
    names: Names,
    code: str,
    meaning: str,
    patients: list[UUID | None],
) -> bytes:
    parts = [
        "<AuditMessage>",
        _open(
            "EventIdentification",
            EventActionCode=action_code(event, code),
            EventDateTime=format_time(event.occurred_at),
            EventOutcomeIndicator=outcome_code(event),
        ),
        _coded("EventID", code, "DCM", meaning),
        *_type_codes(event, code),
    ]
    if event.outcome is not Outcome.SUCCESS:
        parts.append(f"<EventOutcomeDescription>{_text(event.code or str(event.outcome))}</EventOutcomeDescription>")
    parts.append("</EventIdentification>")
    parts += [_participant(one) for one in _participants(event, recorder, names, code)]
    parts.append(_open("AuditSourceIdentification", AuditEnterpriseSiteID=recorder.site, AuditSourceID=recorder.host))
    parts.append(_coded("AuditSourceTypeCode", "4", "RFC-3881", "Application Server"))
    parts.append("</AuditSourceIdentification>")
    parts += [_object(one) for one in _objects(event, recorder, names, code, patients)]
    parts.append("</AuditMessage>")
    return "".join(parts).encode()


def _type_codes(event: LedgerEvent, code: str) -> list[str]:
    own = act_of(event).type_code
    if code in {"110114", "110113"}:
        number = own or "110132"
        return [_coded("EventTypeCode", number, "DCM", _TYPE_NAMES.get(number, number))]
    # What exactly it was, in our own words: A.5.2 leaves further type codes to the sender.
    return [_coded("EventTypeCode", event.action, "99GANTRY", event.action)]


def _participants(event: LedgerEvent, recorder: Recorder, names: Names, code: str) -> list[_Participant]:
    node = _Participant(recorder.host, not is_person(event) and event.actor_kind == "system", None, "Gantry",
                        recorder.host, network_type(recorder.host))  # fmt: skip
    name = names.people.get(event.actor_id, "") if event.actor_id else ""
    address = event.address or ("localhost" if event.actor_kind == "system" else "unknown")
    somebody = _Participant(user_id(event), True, None, name, address, network_type(address))
    if event.action == "session.timed_out":
        # On a timeout the node asks, and the person is whose session it was (A.5.3.6).
        return [_with(somebody, is_requestor=False), _with(node, is_requestor=True)]
    if code == "110114":
        return [somebody, node]
    if code in {"110102", "110104"}:
        sends = action_code(event, code) == "R" or code == "110102"
        ours, theirs = (SOURCE_ROLE, DESTINATION_ROLE) if sends else (DESTINATION_ROLE, SOURCE_ROLE)
        return [_with(somebody, role=theirs), _with(node, role=ours, is_requestor=False)]
    if code == "110106":
        return [
            _with(somebody, role=SOURCE_ROLE),
            _with(node, role=SOURCE_ROLE, is_requestor=False),
            *_receivers(event, names),
            _Participant(
                event.detail.get("url") or recorder.base_url, False, MEDIA_ROLE, media=("110037", "URI"),
                network=event.detail.get("url") or recorder.base_url, network_type="5",
            ),
        ]  # fmt: skip
    if code == "110112":
        return [_with(somebody, role=SOURCE_ROLE), _with(node, role=DESTINATION_ROLE, is_requestor=False)]
    if event.actor_kind == "system":
        return [_with(node, is_requestor=True, role=APPLICATION_ROLE)]
    return [somebody, _with(node, is_requestor=False)]


def _with(one: _Participant, *, is_requestor: bool | None = None, role: tuple[str, str] | None = None) -> _Participant:
    return _Participant(
        one.user, one.is_requestor if is_requestor is None else is_requestor, role or one.role, one.name, one.network,
        one.network_type, one.media,
    )  # fmt: skip


def _receivers(event: LedgerEvent, names: Names) -> list[_Participant]:
    to = event.detail.get("to", "")
    if not to:
        return []
    name = ""
    with contextlib.suppress(ValueError):
        name = names.people.get(UUID(to), "")
    return [_Participant(to, False, DESTINATION_ROLE, name)]


def _objects(
    event: LedgerEvent, recorder: Recorder, names: Names, code: str, patients: list[UUID | None]
) -> Iterator[_Object]:
    detail = tuple(sorted((key, str(value)) for key, value in event.detail.items()))
    if event.clause or event.agreement_version:
        detail = (*detail, ("agreement", f"{event.agreement_version} {event.clause}".strip()))
    if event.correlation_id:
        detail = (*detail, ("X-Request-Id", event.correlation_id))
    if code == "110114":
        return
    if code == "110101":
        yield _Object(f"{recorder.base_url}/fhir/AuditEvent", _URI, "2", "13", "Security Audit Log", detail=detail)
        return
    if code == "110112":
        raw = names.verbatim.get(event.id)
        query = raw if raw is not None else event.action.encode()
        yield _Object("1.2.840.10008.5.1.4.1.2.2.1", _SOP_CLASS, "2", "3", query=query, detail=detail)
        return
    if code == "110113":
        words = (("Alert Description", act_of(event).sentence), *detail)
        yield _Object(recorder.host, _ALERT, "2", "13", detail=words)
    if event.study_id is not None or code in _ONE_PATIENT:
        study = names.study_uid(event.study_id) if event.study_id is not None else f"2.25.{event.id.int}"
        shown = () if code == "110113" else detail
        yield _Object(study, _STUDY_UID, "2", "3", detail=shown, life_cycle=_life_cycle(event))
    elif code == "110106":
        yield _Object(f"{recorder.base_url}/{event.action}", _URI, "2", "3", act_of(event).sentence, detail=detail)
    if event.kind is Kind.INFERENCE:
        model = ":".join(filter(None, (event.detail.get("model", "model"), event.detail.get("version", ""))))
        yield _Object(model, _URI, "2", "26", "Processing Element")
    for pseudonym in patients:
        known = names.patients.get(pseudonym) if pseudonym else None
        number = known.patient_id if known and known.patient_id else str(pseudonym or "unknown")
        yield _Object(number, _PATIENT_ID, "1", "1", known.name if known else "")


def _life_cycle(event: LedgerEvent) -> str:
    """Return ParticipantObjectDataLifeCycle where it says more than the action does."""
    if event.action == "study.erased":
        return "15"
    return "11" if event.kind is Kind.DISCLOSURE else ""


def _participant(one: _Participant) -> str:
    attributes = {"UserID": one.user, "UserIsRequestor": "true" if one.is_requestor else "false"}
    if one.name:
        attributes["UserName"] = one.name
    if one.network:
        attributes |= {"NetworkAccessPointID": one.network, "NetworkAccessPointTypeCode": one.network_type}
    inner = _coded("RoleIDCode", one.role[0], "DCM", one.role[1]) if one.role else ""
    if one.media:
        inner += f"<MediaIdentifier>{_coded('MediaType', one.media[0], 'DCM', one.media[1])}</MediaIdentifier>"
    return f"{_open('ActiveParticipant', **attributes)}{inner}</ActiveParticipant>"


def _object(one: _Object) -> str:
    attributes = {"ParticipantObjectID": one.id, "ParticipantObjectTypeCode": one.type_code}
    if one.role:
        attributes["ParticipantObjectTypeCodeRole"] = one.role
    if one.life_cycle:
        attributes["ParticipantObjectDataLifeCycle"] = one.life_cycle
    parts = [
        _open("ParticipantObjectIdentification", **attributes),
        _coded("ParticipantObjectIDTypeCode", *one.id_type),
    ]
    if one.query is not None:
        parts.append(f"<ParticipantObjectQuery>{base64.b64encode(one.query).decode()}</ParticipantObjectQuery>")
    elif one.name:
        parts.append(f"<ParticipantObjectName>{_text(one.name)}</ParticipantObjectName>")
    for key, value in one.detail:
        encoded = base64.b64encode(value.encode()).decode()
        parts.append(f"<ParticipantObjectDetail type={_attribute(key)} value={_attribute(encoded)}/>")
    parts.append("</ParticipantObjectIdentification>")
    return "".join(parts)


def _coded(element: str, code: str, system: str, meaning: str) -> str:
    values = f"csd-code={_attribute(code)} codeSystemName={_attribute(system)} originalText={_attribute(meaning)}"
    return f"<{element} {values}/>"


def _open(element: str, **attributes: str) -> str:
    return f"<{element} {' '.join(f'{name}={_attribute(value)}' for name, value in attributes.items())}>"


def _attribute(value: str) -> str:
    return quoteattr(_legal(value))


def _text(value: str) -> str:
    return _legal(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _legal(value: str) -> str:
    """Replace what XML 1.0 cannot hold (section 2.2)."""
    if value.isprintable():
        return value
    return "".join(
        char
        if char in "\t\n\r" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"
        else "\ufffd"
        for char in value
    )

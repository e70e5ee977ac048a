"""Checks of DICOM audit messages: the schema of PS3.15 A.5.1 and the tables of A.5.3, written down as data.

For messages of our own and for tests: it names the first things that a repository would stumble over. It is no
general-purpose XML validator.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from gantry.audit.projections.balp import Finding

#: Element -> children in order, each with how many; attributes that must and may be there.
_CODED: Final = ({"csd-code", "originalText", "codeSystemName"}, {"displayName", "codeSystem"})


@dataclass(frozen=True, slots=True)
class _Element:
    children: tuple[tuple[str, int, int], ...] = ()
    needs: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


def _element(children: tuple[tuple[str, int, int], ...] = (), needs: str = "", may: str = "") -> _Element:
    return _Element(children, frozenset(needs.split()), frozenset(may.split()))


_CODE: Final = _Element((), frozenset(_CODED[0]), frozenset(_CODED[1]))
SCHEMA: Final[Mapping[str, _Element]] = {
    "AuditMessage": _element(
        (("EventIdentification", 1, 1), ("ActiveParticipant", 1, 999), ("AuditSourceIdentification", 1, 999),
         ("ParticipantObjectIdentification", 0, 999999)),
    ),
    "EventIdentification": _element(
        (("EventID", 1, 1), ("EventTypeCode", 0, 99), ("EventOutcomeDescription", 0, 1)),
        "EventDateTime EventOutcomeIndicator", "EventActionCode",
    ),
    "EventID": _CODE,
    "EventTypeCode": _CODE,
    "EventOutcomeDescription": _element(),
    "ActiveParticipant": _element(
        (("RoleIDCode", 0, 99), ("MediaIdentifier", 0, 1)),
        "UserID UserIsRequestor", "AlternativeUserID UserName NetworkAccessPointID NetworkAccessPointTypeCode",
    ),
    "RoleIDCode": _CODE,
    "MediaIdentifier": _element((("MediaType", 1, 1),)),
    "MediaType": _CODE,
    "AuditSourceIdentification": _element((("AuditSourceTypeCode", 0, 99),), "AuditSourceID", "AuditEnterpriseSiteID"),
    "AuditSourceTypeCode": _CODE,
    "ParticipantObjectIdentification": _element(
        (("ParticipantObjectIDTypeCode", 1, 1), ("ParticipantObjectName", 0, 1), ("ParticipantObjectQuery", 0, 1),
         ("ParticipantObjectDetail", 0, 999), ("ParticipantObjectDescription", 0, 99), ("SOPClass", 0, 999)),
        "ParticipantObjectID",
        "ParticipantObjectTypeCode ParticipantObjectTypeCodeRole ParticipantObjectDataLifeCycle ParticipantObjectSensitivity",
    ),
    "ParticipantObjectIDTypeCode": _CODE,
    "ParticipantObjectName": _element(),
    "ParticipantObjectQuery": _element(),
    "ParticipantObjectDetail": _element((), "type value"),
    "ParticipantObjectDescription": _element(),
    "SOPClass": _element((("Instance", 0, 999999),), "", "UID NumberOfInstances"),
    "Instance": _element((), "UID"),
}  # fmt: skip

_DATE_TIME: Final = re.compile(r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_VALUES: Final[Mapping[str, Callable[[str], object]]] = {
    "EventActionCode": lambda value: value in {"C", "R", "U", "D", "E"},
    "EventDateTime": _DATE_TIME.fullmatch,
    "EventOutcomeIndicator": lambda value: value in {"0", "4", "8", "12"},
    "UserIsRequestor": lambda value: value in {"true", "false"},
    "NetworkAccessPointTypeCode": lambda value: value in {"1", "2", "3", "4", "5"},
    "ParticipantObjectTypeCode": lambda value: value in {"1", "2", "3", "4"},
    "ParticipantObjectTypeCodeRole": lambda value: value.isdigit() and 1 <= int(value) <= 26,
    "ParticipantObjectDataLifeCycle": lambda value: value.isdigit() and 1 <= int(value) <= 15,
    "value": lambda value: _is_base64(value),
    "UserID": bool,
    "AuditSourceID": bool,
    "ParticipantObjectID": bool,
    "csd-code": bool,
}


@dataclass(frozen=True, slots=True)
class Table:
    """What a message of one EventID holds (A.5.3).

    Parameters
    ----------
    actions
        EventActionCode.
    type_codes
        One of these EventTypeCodes must be there; empty for any.
    roles
        RoleIDCode -> (least, most) participants with it.
    participants
        How many at least.
    studies, patients, queries, media
        (least, most) objects that are a study, patients, queries; participants that are a medium.
    """

    actions: frozenset[str]
    type_codes: frozenset[str] = frozenset()
    roles: Mapping[str, tuple[int, int]] | None = None
    participants: int = 1
    studies: tuple[int, int] = (0, 999)
    patients: tuple[int, int] = (0, 999999)
    needs_query: bool = False
    needs_media: bool = False
    needs_network: bool = False
    needs_alert: bool = False
    needs_log: bool = False
    has_objects: bool = True


_ALERT_TYPES: Final = frozenset(f"1101{number}" for number in range(26, 43))
TABLES: Final[Mapping[str, Table]] = {
    "110101": Table(frozenset("R"), needs_log=True, studies=(0, 0), patients=(0, 0)),
    "110102": Table(
        frozenset("E"), roles={"110153": (1, 1), "110152": (1, 1)}, participants=2, studies=(1, 999), patients=(1, 1)
    ),
    "110103": Table(frozenset("CRUD"), studies=(1, 999), patients=(1, 1)),
    "110104": Table(
        frozenset("CRU"), roles={"110153": (1, 1), "110152": (1, 1)}, participants=2, studies=(1, 999), patients=(1, 1)
    ),
    "110105": Table(frozenset("D"), studies=(1, 1), patients=(1, 1)),
    "110106": Table(frozenset("R"), roles={"110153": (1, 2), "110154": (1, 1)}, participants=2, needs_media=True),
    "110112": Table(
        frozenset("E"), roles={"110153": (1, 1), "110152": (1, 1)}, participants=2, studies=(0, 0), patients=(0, 0),
        needs_query=True,
    ),
    "110113": Table(frozenset("E"), _ALERT_TYPES, needs_alert=True),
    "110114": Table(frozenset("E"), frozenset({"110122", "110123"}), needs_network=True, has_objects=False),
}  # fmt: skip


def check_message(message: bytes) -> list[Finding]:
    """Return every rule of the schema and of its kind's table that a message breaks."""
    if b"<!DOCTYPE" in message or b"<!ENTITY" in message:
        return [Finding("/", "no document type")]
    try:
        root = ET.fromstring(message)  # noqa: S314 - without a document type there are no entities to expand
    except ET.ParseError as error:
        return [Finding("/", f"well-formed XML ({error})")]
    found = list(_check_schema(root, root.tag)) if root.tag == "AuditMessage" else [Finding("/", "an AuditMessage")]
    return found or list(_check_table(root))


def _check_schema(element: ET.Element, path: str) -> Iterator[Finding]:
    rule = SCHEMA[element.tag]
    for name in sorted(rule.needs - set(element.attrib)):
        yield Finding(f"{path}/@{name}", "1..1")
    for name, value in element.attrib.items():
        if name not in rule.needs | rule.may:
            yield Finding(f"{path}/@{name}", "no attribute of this element")
        elif name in _VALUES and not _VALUES[name](value):
            yield Finding(f"{path}/@{name}", "a value of its type")
    at = 0
    children = list(element)
    for name, least, most in rule.children:
        first = at
        while at < len(children) and children[at].tag == name:
            at += 1
        if not least <= at - first <= most:
            yield Finding(f"{path}/{name}", f"{least}..{most}, in the order of the schema")
    if at < len(children):
        yield Finding(f"{path}/{children[at].tag}", "no element here, or in another order")
        return
    if element.find("ParticipantObjectName") is not None and element.find("ParticipantObjectQuery") is not None:
        yield Finding(path, "either a name or a query")
    for child in children:
        if child.tag == "ParticipantObjectQuery" and not _is_base64(child.text or ""):
            yield Finding(f"{path}/{child.tag}", "base64")
        yield from _check_schema(child, f"{path}/{child.tag}")


def _check_table(root: ET.Element) -> Iterator[Finding]:
    event = root.find("EventIdentification")
    assert event is not None
    identifier = event.find("EventID")
    code = identifier.get("csd-code", "") if identifier is not None else ""
    table = TABLES.get(code)
    if table is None:
        yield Finding("EventID", "an event of A.5.3")
        return
    if event.get("EventActionCode") not in table.actions:
        yield Finding("EventActionCode", f"one of {', '.join(sorted(table.actions))}")
    types = {one.get("csd-code", "") for one in event.findall("EventTypeCode")}
    if table.type_codes and not types & table.type_codes:
        yield Finding("EventTypeCode", "one that A.5.3 names for this event")
    yield from _check_participants(root.findall("ActiveParticipant"), table)
    yield from _check_objects(root.findall("ParticipantObjectIdentification"), table)


def _check_participants(participants: list[ET.Element], table: Table) -> Iterator[Finding]:
    if len(participants) < table.participants:
        yield Finding("ActiveParticipant", f"{table.participants}..*")
    if not any(one.get("UserIsRequestor") == "true" for one in participants):
        yield Finding("ActiveParticipant", "one of them is the requestor")
    roles = [role.get("csd-code", "") for one in participants for role in one.findall("RoleIDCode")]
    for role, (least, most) in (table.roles or {}).items():
        if not least <= roles.count(role) <= most:
            yield Finding(f"ActiveParticipant[{role}]", f"{least}..{most}")
    for one in participants:
        is_medium = any(role.get("csd-code") == "110154" for role in one.findall("RoleIDCode"))
        if is_medium and (one.find("MediaIdentifier") is None or one.get("UserIsRequestor") != "false"):
            yield Finding("ActiveParticipant[110154]", "a medium has its type and asks for nothing")
        if (one.get("NetworkAccessPointID") is None) != (one.get("NetworkAccessPointTypeCode") is None):
            yield Finding("ActiveParticipant", "a network access point has an id and a type")
    if table.needs_network and not all(one.get("NetworkAccessPointID") for one in participants):
        yield Finding("ActiveParticipant/@NetworkAccessPointID", "mandatory")


def _check_objects(objects: list[ET.Element], table: Table) -> Iterator[Finding]:
    if not table.has_objects and objects:
        yield Finding("ParticipantObjectIdentification", "none")
    id_types = [_id_type(one) for one in objects]
    for name, code, (least, most) in (("study", "110180", table.studies), ("patient", "2", table.patients)):
        if not least <= id_types.count(code) <= most:
            yield Finding(f"ParticipantObjectIdentification[{name}]", f"{least}..{most}")
    for one, id_type in zip(objects, id_types, strict=True):
        place = (one.get("ParticipantObjectTypeCode"), one.get("ParticipantObjectTypeCodeRole"))
        if id_type == "110180" and place != ("2", "3"):
            yield Finding("ParticipantObjectIdentification[study]", "type 2, role 3")
        if id_type == "2" and place != ("1", "1"):
            yield Finding("ParticipantObjectIdentification[patient]", "type 1, role 1")
    if table.needs_query and not any(one.find("ParticipantObjectQuery") is not None for one in objects):
        yield Finding("ParticipantObjectQuery", "1..1")
    details = {detail.get("type") for one in objects for detail in one.findall("ParticipantObjectDetail")}
    if table.needs_alert and "Alert Description" not in details:
        yield Finding("ParticipantObjectDetail", "an Alert Description")
    if table.needs_log:
        logs = [one for one in objects if one.get("ParticipantObjectTypeCodeRole") == "13"]
        if (
            len(logs) != 1
            or logs[0].findtext("ParticipantObjectName") != "Security Audit Log"
            or _id_type(logs[0]) != "12"
        ):
            yield Finding("ParticipantObjectIdentification[log]", 'URI, role 13, name "Security Audit Log"')


def _id_type(one: ET.Element) -> str:
    found = one.find("ParticipantObjectIDTypeCode")
    return found.get("csd-code", "") if found is not None else ""


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True

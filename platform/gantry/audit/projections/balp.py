"""Checks of AuditEvents against FHIR R4 and the rules of IHE BALP, which are data here.

Source of the rules: the FSH of IHE/ITI.BasicAudit (`input/fsh/{PatientRead,PatientCreate,PatientUpdate,PatientDelete,
PatientQuery,Disclose,AuthZ}.fsh`), read and written down anew, and FHIR R4's own cardinalities and invariants. The last
four patterns are ours, for the kinds that BALP leaves to DICOM (PS3.15 A.5.3).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gantry.audit.projections.fhir import (
    BALP_AUTHZ,
    BALP_ENTITY,
    DCM,
    ENTITY_TYPE,
    EVENT_TYPE,
    INTERACTION,
    LIFECYCLE,
    OBJECT_ROLE,
    PARTICIPATION,
    PROFILE,
    PROVENANCE_PARTICIPANT,
    RESOURCE_TYPES,
    ROLE_CLASS,
    SECURITY_ROLE,
)

Code = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Slice:
    """A named kind of agent or entity: what it is known by, how many there are, and what each must and must not have.

    Parameters
    ----------
    types
        It is known by one of these codes in `type`.
    needs, lacks
        Dotted paths that must be there, or must not.
    fixed
        Path to the only value.
    role
        Codes of `role` (a binding that is required), or none.
    is_observer
        Its `who` must be `source.observer` (BALP val-audit-source).
    """

    name: str
    types: tuple[Code, ...]
    at_least: int = 0
    at_most: int = 1
    needs: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    role: tuple[Code, ...] = ()
    is_observer: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """One profile: what the event's own elements are, and its slices. `subtypes`: at least one of these is there."""

    type: Code
    subtypes: tuple[Code, ...]
    action: str
    outcomes: tuple[str, ...] = ("0",)
    only_subtype: bool = False
    agents: tuple[Slice, ...] = ()
    entities: tuple[Slice, ...] = ()
    agents_at_least: int = 2
    entities_at_least: int = 1
    is_entity_closed: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a resource breaks."""

    path: str
    rule: str


_NODE = ("who", "network")
_SOURCE, _DESTINATION = ((DCM, "110153"),), ((DCM, "110152"),)
_APPLICATION, _CUSTODIAN = ((DCM, "110150"),), ((PROVENANCE_PARTICIPANT, "custodian"),)
_RECEIVER = ((PARTICIPATION, "IRCP"),)
_DATA_SOURCES = tuple((PARTICIPATION, code) for code in ("AUT", "INF", "CST"))
_OBJECT_ROLES = tuple((OBJECT_ROLE, code) for code in ("4", "3", "20"))
_BARE = ("role", "altId", "name", "location", "policy", "media", "purposeOfUse")


def _nodes(
    client: tuple[Code, ...], server: tuple[Code, ...], *, lacks: tuple[str, ...] = ("media",)
) -> tuple[Slice, ...]:
    return (
        Slice("client", client, 1, 1, _NODE, lacks),
        Slice("server", server, 1, 1, _NODE, lacks),
    )


def _user(types: tuple[Code, ...], *, at_least: int = 0, lacks: tuple[str, ...] = ("media", "network")) -> Slice:
    return Slice("user", types, at_least, 1, ("who",), lacks, {"requestor": True})


_TRANSACTION = Slice("transaction", ((BALP_ENTITY, "XrequestId"),), 0, 1, ("what.identifier.value",))
_DATA = Slice("data", ((ENTITY_TYPE, "2"),), 1, 1, ("what", "role"), role=_OBJECT_ROLES)
_DELETED = Slice(
    "data", ((ENTITY_TYPE, "2"),), 1, 1, ("what", "role"), ("lifecycle", "name", "query", "detail"), role=_OBJECT_ROLES
)
_PATIENT = Slice(
    "patient", ((ENTITY_TYPE, "1"),), 1, 1, ("what", "role"), fixed={"what.type": "Patient"}, role=((OBJECT_ROLE, "1"),)
)
_QUERY = Slice(
    "query",
    ((ENTITY_TYPE, "2"),),
    1,
    1,
    ("query", "role"),
    ("what", "lifecycle", "detail"),
    role=((OBJECT_ROLE, "24"),),
)
_REST = (EVENT_TYPE, "rest")


def _rest(
    action: str, *interactions: str, agents: tuple[Slice, ...], entities: tuple[Slice, ...], **more: Any
) -> Pattern:
    return Pattern(
        _REST, tuple((INTERACTION, one) for one in interactions), action, agents=agents, entities=entities, **more
    )


def _with_patient(pattern: Pattern, *, lacks: tuple[str, ...] = ()) -> Pattern:
    patient = Slice(_PATIENT.name, _PATIENT.types, 1, 1, _PATIENT.needs, lacks, _PATIENT.fixed, _PATIENT.role)
    return Pattern(
        pattern.type, pattern.subtypes, pattern.action, pattern.outcomes, pattern.only_subtype,
        pattern.agents, (*pattern.entities, patient), pattern.agents_at_least, 2, pattern.is_entity_closed,
    )  # fmt: skip


_READ = _rest(
    "R", "read", "vread",
    agents=(*_nodes(_DESTINATION, _SOURCE), _user(_RECEIVER)), entities=(_TRANSACTION, _DATA),
)  # fmt: skip
_CREATE = _rest(
    "C", "create",
    agents=(*_nodes(_SOURCE, _DESTINATION), _user(_DATA_SOURCES)), entities=(_TRANSACTION, _DATA),
)  # fmt: skip
_UPDATE = _rest(
    "U", "update", "patch",
    agents=(*_nodes(_SOURCE, _DESTINATION), _user(_DATA_SOURCES)), entities=(_TRANSACTION, _DATA),
)  # fmt: skip
_DELETE = _rest(
    "D", "delete",
    agents=(
        *_nodes(_APPLICATION, _CUSTODIAN, lacks=_BARE),
        _user(_DATA_SOURCES, lacks=("altId", "location", "policy", "media", "network")),
    ),
    entities=(_TRANSACTION, _DELETED),
    only_subtype=True,
)  # fmt: skip
_SEARCH = _rest(
    "E", "search", "search-type", "search-system",
    agents=(*_nodes(_SOURCE, _DESTINATION), _user(_RECEIVER)), entities=(_TRANSACTION, _QUERY),
)  # fmt: skip
_ANY_OUTCOME = ("0", "4", "8", "12")
_PATIENT_LACKS = ("lifecycle", "securityLabel", "name", "query", "detail")

PATTERNS: Final[Mapping[str, Pattern]] = {
    f"{PROFILE}Read": _READ,
    f"{PROFILE}PatientRead": _with_patient(_READ),
    f"{PROFILE}Create": _CREATE,
    f"{PROFILE}PatientCreate": _with_patient(_CREATE),
    f"{PROFILE}Update": _UPDATE,
    f"{PROFILE}PatientUpdate": _with_patient(_UPDATE),
    f"{PROFILE}Delete": _DELETE,
    f"{PROFILE}PatientDelete": _with_patient(_DELETE, lacks=_PATIENT_LACKS),
    f"{PROFILE}Query": _SEARCH,
    f"{PROFILE}PatientQuery": _with_patient(_SEARCH),
    f"{PROFILE}PrivacyDisclosure.Source": Pattern(
        (DCM, "110106"), ((LIFECYCLE, "disclose"),), "R", _ANY_OUTCOME,
        agents=(
            Slice("source", _SOURCE, 1, 1, _NODE, is_observer=True),
            Slice("recipient", _DESTINATION, 1, 1, _NODE),
        ),
        entities=(_PATIENT,), entities_at_least=2,
    ),
    f"{PROFILE}AuthZconsent": Pattern(
        (DCM, "110113"), ((BALP_AUTHZ, "AuthZ-Consent"), (BALP_AUTHZ, "AuthZ-Role")), "E", _ANY_OUTCOME,
        agents=(
            Slice("client", _APPLICATION, 1, 1, _NODE,
                  ("role", "altId", "name", "location", "media", "purposeOfUse")),
            _user(_RECEIVER, at_least=1, lacks=("altId", "location", "media", "network")),
            Slice("userorg", ((ROLE_CLASS, "PROV"),), 1, 1, ("who",),
                  ("role", "altId", "name", "location", "policy", "media", "network"), {"requestor": False}),
            Slice("authorizer", ((SECURITY_ROLE, "authserver"),), 1, 1, ("who",),
                  (*_BARE, "network"), {"requestor": False}, is_observer=True),
        ),
        entities=(_PATIENT, Slice("consent", ((RESOURCE_TYPES, "Consent"),), 1, 99, ("what",))),
        entities_at_least=2, is_entity_closed=True,
    ),
}  # fmt: skip

_WORK = tuple(role for nodes in (_nodes(_DESTINATION, _SOURCE), (_user(_RECEIVER),)) for role in nodes)
#: What BALP leaves to DICOM, by the event's type: own patterns, from the tables of PS3.15 A.5.3.
OWN: Final[Mapping[Code, Pattern]] = {
    (DCM, "110114"): Pattern(
        (DCM, "110114"), ((DCM, "110122"), (DCM, "110123")), "E", _ANY_OUTCOME,
        agents=(Slice("client", (*_SOURCE, *_DESTINATION), 1, 2, _NODE),), entities_at_least=0,
    ),
    (DCM, "110113"): Pattern(
        (DCM, "110113"), tuple((DCM, f"1101{number}") for number in range(26, 43)), "E", _ANY_OUTCOME,
        agents=(Slice("node", (*_SOURCE, *_DESTINATION, *_APPLICATION), 1, 2, _NODE),),
    ),
    (DCM, "110101"): Pattern(
        (DCM, "110101"), (), "R", _ANY_OUTCOME, agents=_WORK,
        entities=(Slice("log", ((ENTITY_TYPE, "2"),), 1, 1, ("what", "role"), role=((OBJECT_ROLE, "13"),)),),
    ),
    (DCM, "110106"): Pattern(
        (DCM, "110106"), (), "R", _ANY_OUTCOME, agents=_WORK,
        entities=(Slice("data", ((ENTITY_TYPE, "2"),), 1, 99, ("what", "role")),),
    ),
    _REST: Pattern(_REST, (), "", _ANY_OUTCOME, agents=(Slice("nodes", (*_SOURCE, *_DESTINATION, *_APPLICATION), 1, 2),)),
}  # fmt: skip

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_TOP: Final = frozenset(
    {"resourceType", "id", "meta", "type", "subtype", "action", "recorded", "outcome", "outcomeDesc", "purposeOfEvent",
     "agent", "source", "entity"}
)  # fmt: skip
_AGENT: Final = frozenset(
    {"type", "role", "who", "altId", "name", "requestor", "location", "policy", "media", "network", "purposeOfUse"}
)
_ENTITY: Final = frozenset(
    {"what", "type", "role", "lifecycle", "securityLabel", "name", "description", "query", "detail"}
)


def check(resource: Mapping[str, Any]) -> list[Finding]:
    """Return every rule of FHIR R4, of the profiles it claims and of its kind that an AuditEvent breaks."""
    found = list(_check_base(resource))
    claimed = resource.get("meta", {}).get("profile", []) if isinstance(resource.get("meta", {}), dict) else []
    for url in claimed:
        pattern = PATTERNS.get(url)
        if pattern is None:
            found.append(Finding("meta.profile", f"unknown profile {url}"))
        else:
            found += _check_pattern(resource, pattern)
    if not claimed:
        pattern = OWN.get(_code(resource.get("type")))
        if pattern is None:
            found.append(Finding("type", "no pattern for this type of event"))
        else:
            found += _check_pattern(resource, pattern)
    return found


def _check_base(resource: Mapping[str, Any]) -> Iterator[Finding]:
    if resource.get("resourceType") != "AuditEvent":
        yield Finding("resourceType", "is AuditEvent")
    for name in sorted(set(resource) - _TOP):
        yield Finding(name, "no element of AuditEvent")
    if not _ID.fullmatch(str(resource.get("id", ""))):
        yield Finding("id", "1 to 64 letters, digits, hyphens and dots")
    if not _code(resource.get("type"))[1]:
        yield Finding("type", "1..1 with a code")
    if not _INSTANT.fullmatch(str(resource.get("recorded", ""))):
        yield Finding("recorded", "1..1, an instant with zone")
    if resource.get("action") not in {"C", "R", "U", "D", "E"}:
        yield Finding("action", "C, R, U, D or E")
    if resource.get("outcome") not in _ANY_OUTCOME:
        yield Finding("outcome", "0, 4, 8 or 12")
    source = resource.get("source")
    if not isinstance(source, Mapping) or not _has(source, "observer"):
        yield Finding("source.observer", "1..1")
    yield from _check_agents(resource.get("agent") or [])
    yield from _check_entities(resource.get("entity") or [])


def _check_agents(agents: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    if not agents:
        yield Finding("agent", "1..*")
    for at, agent in enumerate(agents):
        for name in sorted(set(agent) - _AGENT):
            yield Finding(f"agent[{at}].{name}", "no element of an agent")
        if not isinstance(agent.get("requestor"), bool):
            yield Finding(f"agent[{at}].requestor", "1..1, a boolean")
        if "network" in agent and agent["network"].get("type") not in {"1", "2", "3", "4", "5"}:
            yield Finding(f"agent[{at}].network.type", "1 to 5")
        if "who" in agent and not any(_has(agent["who"], one) for one in ("reference", "identifier.value", "display")):
            yield Finding(f"agent[{at}].who", "names somebody")


def _check_entities(entities: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for at, entity in enumerate(entities):
        for name in sorted(set(entity) - _ENTITY):
            yield Finding(f"entity[{at}].{name}", "no element of an entity")
        if "name" in entity and "query" in entity:
            yield Finding(f"entity[{at}]", "sev-1: either a name or a query, not both")
        if "query" in entity and not _is_base64(entity["query"]):
            yield Finding(f"entity[{at}].query", "base64")
        for detail in entity.get("detail", []):
            if not detail.get("type") or not detail.get("valueString"):
                yield Finding(f"entity[{at}].detail", "type 1..1 and value 1..1")


def _check_pattern(resource: Mapping[str, Any], pattern: Pattern) -> Iterator[Finding]:
    if _code(resource.get("type")) != pattern.type:
        yield Finding("type", f"is {pattern.type[1]}")
    subtypes = [_code(one) for one in resource.get("subtype") or []]
    if pattern.subtypes and not set(subtypes) & set(pattern.subtypes):
        yield Finding("subtype", f"has one of {', '.join(code for _, code in pattern.subtypes)}")
    if pattern.only_subtype and len(subtypes) != 1:
        yield Finding("subtype", "1..1")
    if pattern.action and resource.get("action") != pattern.action:
        yield Finding("action", f"is {pattern.action}")
    if resource.get("outcome") not in pattern.outcomes:
        yield Finding("outcome", f"is one of {', '.join(pattern.outcomes)}")
    agents, entities = resource.get("agent") or [], resource.get("entity") or []
    at_least = 1 if pattern.type in OWN and pattern is OWN[pattern.type] else pattern.agents_at_least
    if len(agents) < at_least:
        yield Finding("agent", f"{at_least}..*")
    if len(entities) < pattern.entities_at_least:
        yield Finding("entity", f"{pattern.entities_at_least}..*")
    yield from _check_slices("agent", agents, pattern.agents, resource)
    yield from _check_slices("entity", entities, pattern.entities, resource)
    if pattern.is_entity_closed:
        known = {code for one in pattern.entities for code in one.types}
        for at, entity in enumerate(entities):
            if not known & set(_codes(entity.get("type"))):
                yield Finding(f"entity[{at}]", "of no kind that may be here (closed)")


def _check_slices(
    path: str, items: Sequence[Mapping[str, Any]], slices: Sequence[Slice], resource: Mapping[str, Any]
) -> Iterator[Finding]:
    for one in slices:
        members = [item for item in items if set(_codes(item.get("type"))) & set(one.types)]
        where = f"{path}[{one.name}]"
        if not one.at_least <= len(members) <= one.at_most:
            yield Finding(where, f"{one.at_least}..{one.at_most}")
        for member in members:
            for needed in one.needs:
                if not _has(member, needed):
                    yield Finding(f"{where}.{needed}", "1..1")
            for lacked in one.lacks:
                if _has(member, lacked):
                    yield Finding(f"{where}.{lacked}", "0..0")
            for fixed, value in one.fixed.items():
                if _get(member, fixed) != value:
                    yield Finding(f"{where}.{fixed}", f"is {value}")
            if one.role and not set(_codes(member.get("role"))) & set(one.role):
                yield Finding(f"{where}.role", f"is one of {', '.join(code for _, code in one.role)}")
            if one.is_observer and member.get("who") != _get(resource, "source.observer"):
                yield Finding(f"{where}.who", "is source.observer")


def _code(coding: object) -> Code:
    if not isinstance(coding, Mapping):
        return "", ""
    return str(coding.get("system", "")), str(coding.get("code", ""))


def _codes(value: object) -> list[Code]:
    """Return the codes of a Coding or of a CodeableConcept."""
    if isinstance(value, Mapping) and "coding" in value:
        return [_code(one) for one in value["coding"]]
    return [_code(value)]


def _get(item: Any, path: str) -> Any:
    for name in path.split("."):
        item = item.get(name) if isinstance(item, Mapping) else None
    return item


def _has(item: Any, path: str) -> bool:
    return _get(item, path) not in (None, "", [], {})


def _is_base64(text: object) -> bool:
    try:
        base64.b64decode(str(text), validate=True)
    except binascii.Error:
        return False
    return True

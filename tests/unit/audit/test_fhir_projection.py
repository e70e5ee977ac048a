"""Events as FHIR AuditEvents: every kind keeps the rules of BALP, and the checker notices what does not."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from gantry.audit.domain import Outcome
from gantry.audit.projections.balp import PATTERNS, check
from gantry.audit.projections.fhir import PROFILE, to_fhir, to_ndjson
from gantry.audit.projections.names import NOTHING_JOINED, Names
from gantry.audit.vocabulary import ACTIONS
from ledger_events import ALL, LOG, NAMES, NINE, OTHER, PATIENT, READER, RECORDER, STUDY, make_event

Json = dict[str, Any]


def profile_of(resource: Json) -> str:
    return str(resource.get("meta", {}).get("profile", [""])[0]).removeprefix(PROFILE)


@pytest.mark.parametrize("names", [NAMES, NOTHING_JOINED], ids=["names joined", "no names"])
@pytest.mark.parametrize("kind", NINE)
def test_every_kind_keeps_the_rules(kind: str, names: Names) -> None:
    for event in NINE[kind]:
        for resource in to_fhir(event, RECORDER, names):
            assert check(resource) == [], event.action


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_action_of_the_vocabulary_keeps_the_rules(action: str, outcome: Outcome) -> None:
    event = make_event(kind=ACTIONS[action].kind, action=action, outcome=outcome)
    for resource in to_fhir(event, RECORDER, NAMES):
        assert check(resource) == []


def test_profiles_are_claimed_as_balp_names_them() -> None:
    claimed = {event.action: profile_of(to_fhir(event, RECORDER, NAMES)[0]) for event in ALL if event.patients}
    assert claimed == {
        "study.opened": "PatientRead",
        "series.packed": "PatientCreate",
        "study.completed": "PatientUpdate",
        "instances.stored": "PatientCreate",
        "transfer.begun": "PatientRead",
        "transfer.finished": "PatientRead",
        "studies.searched": "PatientQuery",
        "view.refused": "AuthZconsent",
        "analysis.started": "PatientRead",
        "analysis.finished": "PatientCreate",
        "finding.accept": "PatientUpdate",
        "study.referred": "PrivacyDisclosure.Source",
    }
    assert profile_of(to_fhir(NINE["query"][1], RECORDER)[0]) == "Query"
    assert profile_of(to_fhir(make_event(outcome=Outcome.FAILURE), RECORDER)[0]) == ""


def test_query_makes_an_event_for_every_patient_it_named() -> None:
    found = to_fhir(NINE["query"][0], RECORDER, NAMES)
    assert [entity["what"]["identifier"]["value"] for one in found for entity in one["entity"][:1]] == ["P-17", "P-18"]
    assert len({one["id"] for one in found}) == 2


def test_query_is_kept_as_it_was_sent_when_it_can_still_be_opened() -> None:
    event = NINE["query"][0]
    raw = b"GET /t/north/dicomweb/studies?PatientName=%00'; drop table--"
    (first, _) = to_fhir(event, RECORDER, Names(verbatim={event.id: raw}))
    (query,) = [entity for entity in first["entity"] if "query" in entity]
    assert base64.b64decode(query["query"]) == raw


def test_identities_are_told_only_when_they_are_joined() -> None:
    with_names, without = (json.dumps(to_fhir(make_event(), RECORDER, names)) for names in (NAMES, NOTHING_JOINED))
    for text in ("Dr. Ada Reader", "P-17", "Doe^Jane", "1.2.840.99.1"):
        assert text in with_names
        assert text not in without
    assert str(PATIENT) in without
    assert f"2.25.{STUDY.int}" in without


def test_agents_carry_role_purpose_network_and_evidence() -> None:
    (resource,) = to_fhir(make_event(), RECORDER, NAMES)
    client, server, user = resource["agent"]
    assert client["network"] == {"address": "10.1.2.3", "type": "2"}
    assert server["network"] == {"address": RECORDER.base_url, "type": "5"}
    assert user["requestor"] is True
    assert user["role"][0]["coding"][0]["code"] == "radiologist"
    assert user["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    assert user["policy"] == ["urn:gantry:session:0123456789abcdef0123456789abcdef"]
    assert resource["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    (transaction,) = [one for one in resource["entity"] if one["type"]["code"] == "XrequestId"]
    assert transaction["what"]["identifier"]["value"] == "7d9c6f1e"


def test_disclosure_names_who_released_to_whom() -> None:
    (resource,) = to_fhir(NINE["disclosure"][0], RECORDER, NAMES)
    source, recipient, author = resource["agent"]
    assert source["who"] == resource["source"]["observer"]
    assert (recipient["who"]["identifier"]["value"], recipient["who"]["display"]) == (str(OTHER), "Dr. Bob Referrer")
    assert author["who"]["identifier"]["value"] == str(READER)


def test_lines_are_one_object_each() -> None:
    lines = [line for event in ALL for line in to_ndjson(event, RECORDER, NAMES)]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert all(json.loads(line)["resourceType"] == "AuditEvent" for line in lines)
    assert str(LOG).encode() not in b"".join(lines[:1])


def _drop(path: str) -> Callable[[Json], None]:
    def change(resource: Json) -> None:
        *way, last = path.split(".")
        item: Any = resource
        for step in way:
            item = item[int(step)] if step.isdigit() else item[step]
        del item[int(last) if last.isdigit() else last]

    return change


def _set(path: str, value: Any) -> Callable[[Json], None]:
    def change(resource: Json) -> None:
        *way, last = path.split(".")
        item: Any = resource
        for step in way:
            item = item[int(step)] if step.isdigit() else item[step]
        item[int(last) if last.isdigit() else last] = value

    return change


def _again(path: str) -> Callable[[Json], None]:
    def change(resource: Json) -> None:
        name, at = path.split(".")
        resource[name].append(copy.deepcopy(resource[name][int(at)]))

    return change


#: By kind: which of its events, and what makes it wrong.
WRONG: dict[str, list[tuple[int, Callable[[Json], None]]]] = {
    "login": [
        (0, _drop("subtype")),
        (0, _set("action", "R")),
        (1, _drop("agent.0.network")),
        (1, _set("outcome", "1")),
        (2, _drop("source.observer")),
        (3, _set("recorded", "2026-03-01")),
    ],
    "access": [
        (0, _drop("entity.0.what")),
        (0, _drop("agent.1.network")),
        (0, _again("entity.0")),
        (0, _set("entity.1.role.code", "24")),
        (0, _set("outcome", "4")),
        (1, _set("subtype", [{"system": "http://hl7.org/fhir/restful-interaction", "code": "read"}])),
        (2, _set("agent.2.requestor", False)),
        (3, _drop("entity")),
    ],
    "transfer": [
        (0, _drop("agent.0.who")),
        (0, _drop("entity.0")),
        (1, _again("agent.0")),
        (2, _set("action", "C")),
    ],
    "export": [(0, _drop("agent.0.network")), (0, _set("action", "C")), (0, _drop("entity.0.what"))],
    "query": [
        (0, _drop("entity.1.query")),
        (0, _set("entity.1.query", "not base64!")),
        (0, _set("entity.1.what", {"display": "x"})),
        (0, _set("entity.1.name", "x")),
        (0, _set("action", "R")),
        (0, _set("agent.0.type.coding.0.code", "110152")),
        (1, _set("entity.0.role.code", "4")),
    ],
    "alert": [
        (0, _drop("entity.0")),
        (0, _set("agent.3.who", {"display": "somebody else"})),
        (0, _set("agent.1.requestor", False)),
        (0, _set("agent.2.role", [{"text": "x"}])),
        (1, _set("subtype", [])),
        (2, _set("action", "U")),
    ],
    "audit": [(0, _set("entity.0.role.code", "4")), (0, _set("action", "E")), (0, _drop("agent.1"))],
    "inference": [
        (0, _again("entity.1")),
        (1, _drop("entity.0.role")),
        (1, _set("type.code", "110103")),
        (2, _set("agent.2.network", {"address": "10.0.0.1", "type": "2"})),
    ],
    "disclosure": [
        (0, _set("agent.0.who", {"display": "elsewhere"})),
        (0, _drop("agent.1.network")),
        (0, _drop("agent.1")),
        (0, _set("subtype", [{"system": "x", "code": "y"}])),
        (0, _drop("entity.0")),
    ],
}


def test_there_are_wrong_examples_of_every_kind() -> None:
    assert set(WRONG) == set(NINE)
    assert all(len(cases) >= 3 for cases in WRONG.values())


@pytest.mark.parametrize(("kind", "at"), [(kind, at) for kind, cases in WRONG.items() for at in range(len(cases))])
def test_wrong_event_is_refused(kind: str, at: int) -> None:
    which, spoil = WRONG[kind][at]
    resource = to_fhir(NINE[kind][which], RECORDER, NAMES)[0]
    assert check(resource) == []
    spoil(resource)
    assert check(resource) != []


def test_event_that_claims_an_unknown_profile_is_refused() -> None:
    (resource,) = to_fhir(make_event(), RECORDER)
    resource["meta"]["profile"] = ["https://example.org/other"]
    assert [finding.path for finding in check(resource)] == ["meta.profile"]


def test_every_profile_of_balp_that_we_check_has_a_right_example() -> None:
    shown = {f"{PROFILE}{profile_of(one)}" for event in ALL for one in to_fhir(event, RECORDER)}
    others = [
        make_event(action="series.packed", patients=(), study_id=None),
        make_event(action="study.completed", patients=(), study_id=None),
        make_event(action="study.erased"),
        make_event(action="study.erased", patients=()),
    ]
    if "study.erased" not in ACTIONS:
        others = others[:2]
    for event in others:
        (resource,) = to_fhir(event, RECORDER)
        assert check(resource) == []
        shown.add(f"{PROFILE}{profile_of(resource)}")
    missing = set(PATTERNS) - shown
    assert missing <= {f"{PROFILE}Delete", f"{PROFILE}PatientDelete"}

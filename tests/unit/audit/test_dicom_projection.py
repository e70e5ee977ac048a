"""Events as DICOM audit messages: every kind keeps schema and table, and the checker notices what does not."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

import pytest

from gantry.audit.domain import Outcome
from gantry.audit.line import PatientCount
from gantry.audit.projections.atna import check_message
from gantry.audit.projections.dicom_xml import to_messages
from gantry.audit.projections.names import NOTHING_JOINED, Names
from gantry.audit.vocabulary import ACTIONS
from ledger_events import NAMES, NINE, PATIENT, RECORDER, SECOND, make_event


@pytest.mark.parametrize("names", [NAMES, NOTHING_JOINED], ids=["names joined", "no names"])
@pytest.mark.parametrize("kind", NINE)
def test_every_kind_keeps_schema_and_table(kind: str, names: Names) -> None:
    for event in NINE[kind]:
        for message in to_messages(event, RECORDER, names):
            assert check_message(message) == [], (event.action, message)


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_action_of_the_vocabulary_keeps_schema_and_table(action: str, outcome: Outcome) -> None:
    for message in to_messages(make_event(kind=ACTIONS[action].kind, action=action, outcome=outcome), RECORDER, NAMES):
        assert check_message(message) == []


def test_accesses_tell_of_one_patient_each() -> None:
    event = make_event(patients=(PatientCount(PATIENT, 1), PatientCount(SECOND, 4)))
    first, second = to_messages(event, RECORDER, NAMES)
    assert (b"P-17" in first, b"P-18" in first) == (True, False)
    assert (b"P-17" in second, b"P-18" in second) == (False, True)


def test_query_does_not_tell_its_answer() -> None:
    (message,) = to_messages(NINE["query"][0], RECORDER, NAMES)
    assert b"P-17" not in message
    assert b"Doe" not in message


def test_node_is_the_requestor_when_a_session_timed_out() -> None:
    (message,) = to_messages(NINE["login"][2], RECORDER, NAMES)
    participants = ET.fromstring(message).findall("ActiveParticipant")
    assert {one.get("UserID"): one.get("UserIsRequestor") for one in participants}[RECORDER.host] == "true"
    assert sorted(str(one.get("UserIsRequestor")) for one in participants) == ["false", "true"]


@pytest.mark.parametrize("text", ['"<&>', "a\x00b\x1f", "\ud7ff￾", "Müller^Ayşe", "]]>"])
def test_text_from_outside_stays_text(text: str) -> None:
    event = make_event(detail={"agent": text}, clause=text)
    for message in to_messages(event, RECORDER, NAMES):
        assert check_message(message) == []
        details = ET.fromstring(message).findall(".//ParticipantObjectDetail")
        assert text.encode() in [base64.b64decode(str(one.get("value"))) for one in details]


#: By kind: which of its events, what is replaced, by what.
WRONG: dict[str, list[tuple[int, str, str]]] = {
    "login": [
        (0, 'csd-code="110122"', 'csd-code="110129"'),
        (0, 'EventActionCode="E"', 'EventActionCode="R"'),
        (0, 'NetworkAccessPointID="10.1.2.3" ', ""),
        (1, 'EventOutcomeIndicator="8"', 'EventOutcomeIndicator="1"'),
        (3, ' UserIsRequestor="true"', ""),
    ],
    "access": [
        (0, 'csd-code="2" codeSystemName="RFC-3881"', 'csd-code="9" codeSystemName="RFC-3881"'),
        (0, 'csd-code="110180"', 'csd-code="110181"'),
        (0, 'ParticipantObjectTypeCodeRole="3"', 'ParticipantObjectTypeCodeRole="4"'),
        (0, 'EventActionCode="R"', 'EventActionCode="E"'),
        (0, "AuditSourceID=", "SourceID="),
    ],
    "transfer": [
        (0, 'csd-code="110152"', 'csd-code="110153"'),
        (1, 'EventActionCode="E"', 'EventActionCode="R"'),
        (2, 'csd-code="110180"', 'csd-code="12"'),
        (2, '<RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/>', ""),
    ],
    "export": [
        (0, 'csd-code="110154"', 'csd-code="110150"'),
        (0, "<MediaIdentifier>", "<!--"),
        (0, 'EventActionCode="R"', 'EventActionCode="C"'),
    ],
    "query": [
        (0, "ParticipantObjectQuery", "ParticipantObjectName"),
        (0, "<ParticipantObjectQuery>", "<ParticipantObjectQuery>!"),
        (0, 'csd-code="110153"', 'csd-code="110150"'),
        (1, 'EventActionCode="E"', 'EventActionCode="R"'),
    ],
    "alert": [
        (0, 'type="Alert Description"', 'type="Description"'),
        (1, 'csd-code="110126"', 'csd-code="110122"'),
        (2, 'EventActionCode="E"', 'EventActionCode="U"'),
        (2, 'EventDateTime="2026', 'EventDateTime="yesterday'),
    ],
    "audit": [
        (0, "Security Audit Log", "Some Log"),
        (0, 'ParticipantObjectTypeCodeRole="13"', 'ParticipantObjectTypeCodeRole="3"'),
        (0, 'EventActionCode="R"', 'EventActionCode="E"'),
    ],
    "inference": [
        (0, 'csd-code="110180"', 'csd-code="12"'),
        (1, 'EventActionCode="C"', 'EventActionCode="E"'),
        (1, 'ParticipantObjectTypeCodeRole="26"', 'ParticipantObjectTypeCodeRole="27"'),
        (2, 'ParticipantObjectTypeCode="1"', 'ParticipantObjectTypeCode="2"'),
    ],
    "disclosure": [
        (0, 'csd-code="110154"', 'csd-code="110150"'),
        (0, 'UserIsRequestor="true"', 'UserIsRequestor="false"'),
        (0, 'ParticipantObjectDataLifeCycle="11"', 'ParticipantObjectDataLifeCycle="16"'),
    ],
}


def test_there_are_wrong_examples_of_every_kind() -> None:
    assert set(WRONG) == set(NINE)
    assert all(len(cases) >= 3 for cases in WRONG.values())


@pytest.mark.parametrize(("kind", "at"), [(kind, at) for kind, cases in WRONG.items() for at in range(len(cases))])
def test_wrong_message_is_refused(kind: str, at: int) -> None:
    which, right, wrong = WRONG[kind][at]
    message = next(to_messages(NINE[kind][which], RECORDER, NAMES)).decode()
    assert right in message
    assert check_message(message.replace(right, wrong).encode()) != []


def test_document_type_is_not_looked_at() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><AuditMessage>&a;</AuditMessage>'
    assert [finding.rule for finding in check_message(bomb)] == ["no document type"]

"""Who and what the ids of an event stand for, as far as it may still be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from gantry.audit.domain import Kind, Outcome
from gantry.audit.line import LedgerEvent
from gantry.audit.vocabulary import ACTIONS, Act

_UNKNOWN: Final = Act(Kind.CONFIGURATION, "Something happened that this version has no words for.")


@dataclass(frozen=True, slots=True)
class PatientName:
    """A patient as their hospital knows them."""

    patient_id: str
    issuer: str
    name: str


@dataclass(frozen=True, slots=True)
class Names:
    """What was joined from outside the ledger for some events. What was erased is not in it.

    Parameters
    ----------
    people
        Person, service account or pod by id: the name to show.
    studies
        Study Instance UID by study id.
    verbatim
        By event id, what was sealed with it: the query as it was sent, a reason as it was given.
    """

    people: Mapping[UUID, str] = field(default_factory=dict)
    patients: Mapping[UUID, PatientName] = field(default_factory=dict)
    studies: Mapping[UUID, str] = field(default_factory=dict)
    institutions: Mapping[UUID, str] = field(default_factory=dict)
    verbatim: Mapping[UUID, bytes] = field(default_factory=dict)

    def study_uid(self, study_id: UUID) -> str:
        """Return the Study Instance UID; one made of our own id (PS3.5 B.2) for a study that is gone."""
        return self.studies.get(study_id) or f"2.25.{study_id.int}"


NOTHING_JOINED: Final = Names()


@dataclass(frozen=True, slots=True)
class Recorder:
    """The system that recorded: this installation, for one tenant.

    Parameters
    ----------
    host
        Its name or address, as clients reach it.
    base_url
        Where the tenant's interfaces begin.
    site
        The organisation whose trail it is.
    """

    host: str
    base_url: str
    site: str


def act_of(event: LedgerEvent) -> Act:
    """Return the vocabulary's entry, also for an action that a later version dropped."""
    known = ACTIONS.get(event.action)
    return known if known is not None else _UNKNOWN


def outcome_code(event: LedgerEvent) -> str:
    """Return the outcome of PS3.15 A.5.2 and FHIR: 0, 4 or 8, and 12 where security may have been broken."""
    if event.outcome is Outcome.SUCCESS:
        return "0"
    if event.outcome is Outcome.REFUSED:
        return "4"
    return "12" if event.kind is Kind.SECURITY_ALERT else "8"


def user_id(event: LedgerEvent) -> str:
    """Return what stands for who acted: an id of ours, or what a stranger's address was digested to."""
    if event.actor_id is not None:
        return str(event.actor_id)
    return event.detail.get("account", "") or event.detail.get("pod", "") or "unknown"


def network_type(address: str) -> str:
    """Return the type of a network access point: 2 an IP address, 1 a name."""
    is_ip = ":" in address or address.replace(".", "").isdigit()
    return "2" if is_ip else "1"


def is_person(event: LedgerEvent) -> bool:
    """Tell whether a person acted, rather than a system or the platform itself."""
    return event.actor_kind == "person" or (event.kind is Kind.AUTHENTICATION and event.action != "session.timed_out")

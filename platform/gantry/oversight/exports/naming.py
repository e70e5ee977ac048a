"""Identities joined to events while they are still there: people, patients, studies, institutions, sealed content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from gantry.audit.public import Ledger, LedgerEvent, Names, PatientName
from gantry.foundation.scope import unit_of_work
from gantry.kernel.actor import SYSTEM_ACTOR_ID
from gantry.studies.public import list_names, list_patient_identities, list_study_uids
from gantry.tenancy.public import list_account_names, list_institution_names

#: More than this many of a kind are forgotten again, so that memory stays bounded.
_KEPT: Final = 20_000
V = TypeVar("V")


class Joiner:
    """Joins names to pages of events of the scope's tenant; remembers what it looked up, also that there is nothing."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = ledger
        self._people: dict[UUID, str | None] = {SYSTEM_ACTOR_ID: "Gantry"}
        self._patients: dict[UUID, PatientName | None] = {}
        self._studies: dict[UUID, str | None] = {}
        self._institutions: dict[UUID, str] | None = None

    def join(self, events: Sequence[LedgerEvent]) -> Names:
        """Return the names that some events need."""
        with unit_of_work():
            if self._institutions is None:
                self._institutions = list_institution_names()
            people = self._look_up(self._people, _actors(events), _load_people)
            pseudonyms = {one.pseudonym for event in events for one in event.patients}
            patients = self._look_up(self._patients, pseudonyms, _load_patients)
            studies = {event.study_id for event in events if event.study_id is not None}
            uids = self._look_up(self._studies, studies, list_study_uids)
        return Names(people, patients, uids, self._institutions, self._verbatim(events))

    def people(self, ids: Iterable[UUID]) -> dict[UUID, str]:
        """Return the names of people and accounts."""
        with unit_of_work():
            return self._look_up(self._people, ids, _load_people)

    def patients(self, pseudonyms: Iterable[UUID]) -> dict[UUID, PatientName]:
        """Return who some pseudonyms stand for."""
        with unit_of_work():
            return self._look_up(self._patients, pseudonyms, _load_patients)

    def _look_up(
        self, known: dict[UUID, V | None], wanted: Iterable[UUID], load: Callable[[list[UUID]], dict[UUID, V]]
    ) -> dict[UUID, V]:
        wanted = set(wanted)
        missing = [one for one in wanted if one not in known]
        if missing:
            if len(known) + len(missing) > _KEPT:
                known.clear()
                missing = list(wanted)
            found = load(missing)
            known.update({one: found.get(one) for one in missing})
        return {one: value for one in wanted if (value := known[one]) is not None}

    def _verbatim(self, events: Sequence[LedgerEvent]) -> dict[UUID, bytes]:
        return {} if self._ledger is None else self._ledger.verbatims(events)


def _actors(events: Sequence[LedgerEvent]) -> set[UUID]:
    found = {event.actor_id for event in events if event.actor_id is not None}
    for event in events:
        to = event.detail.get("to", "")
        if len(to) == 36:
            try:
                found.add(UUID(to))
            except ValueError:
                continue
    return found


def _load_people(ids: list[UUID]) -> dict[UUID, str]:
    people: dict[UUID, str] = list_names(ids)
    rest = [one for one in ids if one not in people]
    return people | (list_account_names(rest) if rest else {})


def _load_patients(pseudonyms: list[UUID]) -> dict[UUID, PatientName]:
    found: dict[UUID, Any] = list_patient_identities(pseudonyms)
    return {one: PatientName(known.patient_id, known.issuer, known.name) for one, known in found.items()}

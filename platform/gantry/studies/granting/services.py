"""Sharing a study or a patient with a person or a care team, seeing with whom, and taking it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gantry.access.public import MATRIX, CareTeam, grant, grant_to_team, list_grants, list_team_grants
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.outbox import WORKLIST, emit, study_stream
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import Activity, DataCategory, GrantKind, Role
from gantry.studies.domain import GrantScope
from gantry.studies.granting.domain import GRANT_LIFETIME, MAX_GRANT_LIFETIME
from gantry.studies.granting.errors import GrantError
from gantry.studies.granting.events import GrantsChanged
from gantry.studies.models import PatientGrant, PatientTeamGrant, Study, StudyGrant, StudyTeamGrant
from gantry.studies.policies import SEE_PATIENT, SEE_STUDY, find_grant, require_study, visible_studies
from gantry.tenancy.public import list_members


@dataclass(frozen=True, slots=True)
class GrantCard:
    """A grant on a study or on its patient, as people read it."""

    id: UUID
    kind: GrantKind
    scope: GrantScope
    user_id: UUID | None
    team_id: UUID | None
    team_name: str
    until: datetime
    reason: str
    granted_by: UUID
    granted_at: datetime


@atomic_service
def share_study(
    *,
    actor: Actor,
    study_id: UUID,
    user_id: UUID | None = None,
    team_id: UUID | None = None,
    scope: GrantScope = GrantScope.STUDY,
    until: datetime | None = None,
    reason: str,
    clock: Clock = SYSTEM_CLOCK,
) -> GrantCard:
    """Let a person or a care team of the tenant, at any of its hospitals, see a study or its patient until a date.

    Raises
    ------
    NotFoundError
        There is no such study for this actor.
    GrantError
        Not one person or team here who reads images, or a date that is past or too far.
    """
    study, subject, decision = _require_shareable(actor, study_id, clock)
    ends = until or clock.now() + GRANT_LIFETIME
    if not clock.now() < ends <= clock.now() + MAX_GRANT_LIFETIME:
        raise GrantError("Choose an end date that lies ahead, within one year.")
    if (user_id is None) == (team_id is None):
        raise GrantError("Name one person or one care team.")
    how: dict[str, Any] = {"actor": actor, "until": ends, "reason": reason, "clock": clock}
    if scope is GrantScope.STUDY:
        how |= {"target": study, "codename": SEE_STUDY}
    else:
        how |= {"target": study.patient, "codename": SEE_PATIENT}
    if user_id is not None:
        _require_reader(user_id)
        people = StudyGrant if scope is GrantScope.STUDY else PatientGrant
        card = _card_of_person(grant(people, user_id=user_id, kind=GrantKind.SHARE, **how), scope)
    else:
        assert team_id is not None
        team = CareTeam.objects.filter(pk=team_id, is_active=True).first()
        if team is None:
            raise GrantError("There is no such care team.")
        teams = StudyTeamGrant if scope is GrantScope.STUDY else PatientTeamGrant
        card = _card_of_team(grant_to_team(teams, team_id=team.pk, **how), scope, team.name)
    detail = {
        "grant_id": str(card.id), "kind": card.kind, "scope": scope, "until": ends.isoformat(), "reason": reason,
        "to": str(user_id or team_id),
    }  # fmt: skip
    record(
        actor=actor,
        entry=Entry(kind=Kind.DISCLOSURE, action="study.shared", decision=decision, subject=subject, detail=detail),
        clock=clock,
    )
    emit(GrantsChanged(study_id=study.pk), streams=(WORKLIST, study_stream(study.pk)), clock=clock)
    return card


@atomic_service
def list_study_grants(*, actor: Actor, study_id: UUID, clock: Clock = SYSTEM_CLOCK) -> list[GrantCard]:
    """Return the grants on a study and on its patient that hold now, emergency access among them."""
    study, subject, decision = _require_shareable(actor, study_id, clock, lock=False)
    cards = _cards(study)
    entry = Entry(kind=Kind.QUERY, action="grants.listed", decision=decision, subject=subject)
    record(actor=actor, entry=entry, clock=clock)
    return cards


@atomic_service
def withdraw_grant(*, actor: Actor, study_id: UUID, grant_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Take a grant back; whatever stands on it closes within seconds. Emergency access is ended as such.

    Raises
    ------
    NotFoundError
        There is no such study, or no such grant on it or its patient.
    """
    study, subject, decision = _require_shareable(actor, study_id, clock)
    card = next((one for one in _cards(study) if one.id == grant_id and one.kind is not GrantKind.BREAK_GLASS), None)
    if card is None:
        raise NotFoundError
    for table in (StudyGrant, PatientGrant, StudyTeamGrant, PatientTeamGrant):
        table.objects.filter(pk=grant_id).delete()
    detail = {"grant_id": str(grant_id), "kind": card.kind, "from": str(card.user_id or card.team_id)}
    entry = Entry(kind=Kind.CONFIGURATION, action="grant.withdrawn", decision=decision, subject=subject, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    emit(GrantsChanged(study_id=study.pk), streams=(WORKLIST, study_stream(study.pk)), clock=clock)


def _require_shareable(
    actor: Actor, study_id: UUID, clock: Clock, *, lock: bool = True
) -> tuple[Study, Subject, Decision]:
    studies = visible_studies(actor).filter(pk=study_id)
    if lock:  # so that two people who share it at once leave one grant
        studies = studies.select_for_update(of=("self",))
    study, subject, decision = require_study(
        actor, studies, activity=Activity.SHARE, category=DataCategory.PIXEL_DATA, clock=clock
    )
    if find_grant(actor, study) is not None:
        reason = "This was shared with you: ask those who did, or a colleague of that hospital, to share it further."
        no = Decision(False, "grant.no_resharing", reason, Activity.SHARE, decision.purpose)
        raise Refused(no, actor=actor, subject=subject)
    return study, subject, decision


def _require_reader(user_id: UUID) -> None:
    member = next((one for one in list_members() if one.user_id == user_id), None)
    if member is None or Activity.VIEW not in MATRIX[Role(member.role)]:
        raise GrantError("Studies can be shared with people of your organisation who read images.")


def _cards(study: Study) -> list[GrantCard]:
    patient = study.patient
    names = dict(CareTeam.objects.values_list("pk", "name"))
    cards = [_card_of_person(one, GrantScope.STUDY) for one in list_grants(StudyGrant, study)]
    cards += [_card_of_person(one, GrantScope.PATIENT) for one in list_grants(PatientGrant, patient)]
    cards += [
        _card_of_team(one, scope, names[one.group_id])
        for table, target, scope in (
            (StudyTeamGrant, study, GrantScope.STUDY),
            (PatientTeamGrant, patient, GrantScope.PATIENT),
        )
        for one in list_team_grants(table, target)
    ]
    return sorted(cards, key=lambda one: (one.granted_at, str(one.id)))


def _card_of_person(row: Any, scope: GrantScope) -> GrantCard:
    return GrantCard(
        row.pk, GrantKind(row.kind), scope, row.user_id, None, "", row.valid_until, row.reason, row.granted_by,
        row.granted_at,
    )  # fmt: skip


def _card_of_team(row: Any, scope: GrantScope, name: str) -> GrantCard:
    return GrantCard(
        row.pk, GrantKind.CARE_TEAM, scope, None, row.group_id, name, row.valid_until, row.reason, row.granted_by,
        row.granted_at,
    )  # fmt: skip

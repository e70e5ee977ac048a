"""What-if: "may X do Y to Z, and by which clause?", answered by the same `judge` as everything else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.conf import settings

from gantry.access.public import require_permission
from gantry.agreements.comparing import Change, Shift, diff_contents, list_shifts
from gantry.agreements.content import content_from_json
from gantry.agreements.domain import Terms, judge, list_objections
from gantry.agreements.drafting import supposed_terms
from gantry.agreements.gate import load_terms
from gantry.agreements.models import Agreement
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import ActorId, AgreementId, InstitutionId, StudyId
from gantry.kernel.vocabulary import (
    Activity,
    ActorKind,
    AdminPermission,
    DataCategory,
    GrantKind,
    Place,
    Purpose,
    Role,
    Scope,
)


@dataclass(frozen=True, slots=True)
class Question:
    """An act that nobody has done.

    Parameters
    ----------
    processor
        The vendor of a model or the external service that would take part.
    granted_by
        By what grant the study is seen; `None` is none.
    actor_institution, institution
        Where the actor is confined to (`None`: the whole tenant), and whose data it is.
    scopes
        What the token is confined to; `None` is a person.
    """

    role: Role
    activity: Activity
    category: DataCategory
    purpose: Purpose = Purpose.TREATMENT
    place: Place = Place.SITE
    processor: str = ""
    granted_by: GrantKind | None = None
    actor_institution: UUID | None = None
    institution: UUID | None = None
    scopes: frozenset[Scope] | None = None
    consents: frozenset[DataCategory] | None = None
    is_quarantined: bool = False
    has_legal_hold: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate would say, everything that stands against it, and which version was asked."""

    decision: Decision
    objections: tuple[Decision, ...]
    version: str
    is_supposed: bool


@atomic_service
def explain(
    *, actor: Actor, question: Question, agreement_id: AgreementId | None = None, clock: Clock = SYSTEM_CLOCK
) -> Answer:
    """Answer a question under the agreement that binds now, or as if a version were in force.

    Raises
    ------
    NotFoundError
        There is no such version.
    """
    require_permission(actor, AdminPermission.AGREEMENT_MANAGE)
    now = clock.now()
    terms = load_terms(clock=clock) if agreement_id is None else _suppose(agreement_id, now)
    asker = Actor(
        kind=ActorKind.SYSTEM if question.role is Role.SYSTEM else ActorKind.PERSON,
        id=ActorId(uuid4()),
        tenant_id=actor.tenant_id,
        role=question.role,
        institutions=frozenset({InstitutionId(question.actor_institution)}) if question.actor_institution else None,
        place=question.place,
        scopes=question.scopes,
        consents=question.consents,
    )
    subject = Subject(
        tenant_id=actor.tenant_id,
        category=question.category,
        study_id=StudyId(uuid4()),
        institution_id=InstitutionId(question.institution) if question.institution else None,
        granted_by=question.granted_by,
        is_quarantined=question.is_quarantined,
        has_legal_hold=question.has_legal_hold,
        processor=question.processor,
    )
    decision = judge(
        terms, at=now, actor=asker, activity=question.activity, subject=subject, purpose=question.purpose,
        region=settings.REGION,
    )  # fmt: skip
    objections = list_objections(
        terms, at=now, actor=asker, activity=question.activity, subject=subject, purpose=question.purpose,
        region=settings.REGION,
    )  # fmt: skip
    version = terms.version if terms else ""
    detail = {
        "version": version,
        "role": question.role.value,
        "activity": question.activity.value,
        "category": question.category.value,
        "answer": decision.code,
        "clause": decision.clause,
    }
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "agreement.asked", detail=detail), clock=clock)
    return Answer(decision, tuple(objections), version, agreement_id is not None)


@atomic_service
def compare_versions(
    *, actor: Actor, before_id: AgreementId, after_id: AgreementId, clock: Clock = SYSTEM_CLOCK
) -> tuple[list[Change], list[Shift]]:
    """Return what differs between two versions, in words and in what may be done if either were in force."""
    require_permission(actor, AdminPermission.AGREEMENT_MANAGE)
    before, after = _row(before_id), _row(after_id)
    changes = diff_contents(content_from_json(before.content), content_from_json(after.content))
    now = clock.now()
    shifts = list_shifts(_suppose(before_id, now), _suppose(after_id, now), at=now, region=settings.REGION)
    return changes, shifts


@atomic_service
def what_would_change(*, actor: Actor, agreement_id: AgreementId, clock: Clock = SYSTEM_CLOCK) -> list[Shift]:
    """Return which acts would be decided otherwise if a version were in force, against what binds now."""
    require_permission(actor, AdminPermission.AGREEMENT_MANAGE)
    now = clock.now()
    return list_shifts(load_terms(clock=clock), _suppose(agreement_id, now), at=now, region=settings.REGION)


def _row(agreement_id: AgreementId) -> Agreement:
    row = Agreement.objects.filter(pk=agreement_id).first()
    if row is None:
        raise NotFoundError
    return row


def _suppose(agreement_id: AgreementId, now: datetime) -> Terms:
    row = _row(agreement_id)
    return supposed_terms(content_from_json(row.content), row.version, now)

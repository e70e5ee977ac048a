"""What of studies an actor may know of, and the subjects that the gate is asked about."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q, QuerySet

from gantry.access.public import NEEDS_GRANT, SEES_REJECTED, SEES_UNREVIEWED, Granted, list_granted
from gantry.agreements.public import require
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import Clock
from gantry.kernel.decision import Decision
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import InstitutionId, StudyId
from gantry.kernel.vocabulary import Activity, DataCategory, GrantKind
from gantry.studies.domain import ReviewState
from gantry.studies.models import PatientGrant, PatientTeamGrant, Series, Study, StudyGrant, StudyTeamGrant

SEE_STUDY, SEE_PATIENT = "see_study", "see_patient"
#: Every table that says that somebody may see something, those of studies and those of whole patients.
STUDY_GRANTS = (StudyGrant, StudyTeamGrant)
PATIENT_GRANTS = (PatientGrant, PatientTeamGrant)


def visible_studies(actor: Actor) -> QuerySet[Study]:
    """Return the studies an actor may know of; counting anything else would give it away."""
    studies = Study.objects.all()
    if not needs_grants(actor):
        return studies
    grants = list_granted((*STUDY_GRANTS, *PATIENT_GRANTS), user_id=actor.user_id)
    seen = Q(pk__in=[one.object_id for one in grants if one.table in STUDY_GRANTS])
    seen |= Q(patient_id__in=[one.object_id for one in grants if one.table in PATIENT_GRANTS])
    if actor.role not in NEEDS_GRANT:
        # A grant reaches across the institutions of the tenant: that is what it is for.
        seen |= Q(institution_id__in=actor.institutions or ())
    return studies.filter(seen)


def needs_grants(actor: Actor) -> bool:
    """Tell whether some of the tenant's studies are seen by this actor through grants alone."""
    return actor.role in NEEDS_GRANT or actor.institutions is not None


def find_grant(actor: Actor, study: Study) -> Granted | None:
    """Return by what grant an actor sees a study, where role and institutions alone do not show it to them.

    A grant that somebody gave counts before breaking the glass: no emergency is needed for what is one's own.
    """
    if actor.role not in NEEDS_GRANT and not actor.is_confined_from(InstitutionId(study.institution_id)):
        return None
    held = list_granted((*STUDY_GRANTS, *PATIENT_GRANTS), user_id=actor.user_id)
    grants = sorted(
        (one for one in held if one.object_id == (study.pk if one.table in STUDY_GRANTS else study.patient_id)),
        key=lambda one: (one.kind is GrantKind.BREAK_GLASS, -one.until.timestamp()),
    )
    return grants[0] if grants else None


def result_condition(actor: Actor, field: str = "review") -> Q:
    """Return the condition under which an AI result is shown to an actor (DESIGN.md §7, visibility)."""
    hidden = []
    if actor.role not in SEES_REJECTED:
        hidden.append(ReviewState.REJECTED)
    if actor.role not in SEES_UNREVIEWED:
        hidden += [ReviewState.UNREVIEWED, ReviewState.MIXED]
    return ~Q(**{f"{field}__in": hidden})


def review_condition(actor: Actor, states: Collection[str]) -> Q:
    """Return the condition of studies whose review state is one of these, as this reader may know it.

    Who sees accepted results only, sees no other state: for them a study is accepted or has none.
    """
    if actor.role not in NEEDS_GRANT:
        return Q(review__in=states)
    shown = {ReviewState.ACCEPTED: Q(review=ReviewState.ACCEPTED), ReviewState.NONE: ~Q(review=ReviewState.ACCEPTED)}
    condition = Q(pk__in=[])
    for state, holds in shown.items():
        if state in states:
            condition |= holds
    return condition


def visible_series(actor: Actor) -> QuerySet[Series]:
    """Return the series an actor may know of within studies they may see."""
    return Series.objects.filter(result_condition(actor))


def is_result_visible(actor: Actor, review: str) -> bool:
    """Tell whether an AI result in this state is shown to an actor."""
    if review == ReviewState.REJECTED:
        return actor.role in SEES_REJECTED
    if review in {ReviewState.UNREVIEWED, ReviewState.MIXED}:
        return actor.role in SEES_UNREVIEWED
    return True


def subject_of(study: Study, actor: Actor, category: DataCategory, *, review: str = ReviewState.NONE) -> Subject:
    """Load what the gate must know of a study, for this actor."""
    granted = find_grant(actor, study)
    return Subject(
        tenant_id=actor.tenant_id,
        category=category,
        study_id=StudyId(study.pk),
        institution_id=InstitutionId(study.institution_id),
        patient_pseudonym=study.patient.pseudonym,
        granted_by=granted.kind if granted else None,
        is_withheld=not is_result_visible(actor, review),
        is_restricted=study.patient.restricted_at is not None,
    )


def collection_of(actor: Actor, category: DataCategory = DataCategory.IDENTIFYING_METADATA) -> Subject:
    """Return the subject of a search: no study in particular."""
    return Subject(tenant_id=actor.tenant_id, category=category)


def require_study(
    actor: Actor,
    studies: QuerySet[Study],
    *,
    activity: Activity,
    category: DataCategory,
    clock: Clock,
    review: str = ReviewState.NONE,
) -> tuple[Study, Subject, Decision]:
    """Return the first of some visible studies, if the gate lets `actor` do this to it.

    Where there is none, the gate is asked about the tenant's data as such: without an agreement, or in a
    role that may not do this at all, what is there and what is not get the same answer.

    Raises
    ------
    NotFoundError
        There is none that this actor may know of.
    Refused
        Not allowed.
    """
    study = studies.select_related("patient").first()
    if study is None:
        require(actor=actor, activity=activity, subject=collection_of(actor, category), clock=clock)
        raise NotFoundError
    subject = subject_of(study, actor, category, review=review)
    return study, subject, require(actor=actor, activity=activity, subject=subject, clock=clock)

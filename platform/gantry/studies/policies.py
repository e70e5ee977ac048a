"""What of studies an actor may know of, and the subjects that the gate is asked about."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from gantry.access.public import NEEDS_GRANT, SEES_REJECTED, SEES_UNREVIEWED, filter_granted, has_grant
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.ids import InstitutionId, StudyId
from gantry.kernel.vocabulary import DataCategory
from gantry.studies.domain import ReviewState
from gantry.studies.models import Series, Study, StudyGrant

SEE_STUDY = "see_study"


def visible_studies(actor: Actor) -> QuerySet[Study]:
    """Return the studies an actor may know of; counting anything else would give it away."""
    studies = Study.objects.all()
    if actor.institutions is not None:
        studies = studies.filter(institution_id__in=actor.institutions)
    if actor.role in NEEDS_GRANT:
        studies = filter_granted(StudyGrant, studies, user_id=actor.user_id, codename=SEE_STUDY)
    return studies


def result_condition(actor: Actor, field: str = "review") -> Q:
    """Return the condition under which an AI result is shown to an actor (DESIGN.md §7, visibility)."""
    hidden = []
    if actor.role not in SEES_REJECTED:
        hidden.append(ReviewState.REJECTED)
    if actor.role not in SEES_UNREVIEWED:
        hidden += [ReviewState.UNREVIEWED, ReviewState.MIXED]
    return ~Q(**{f"{field}__in": hidden})


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


def subject_of(
    study: Study, actor: Actor, category: DataCategory, *, review: str = ReviewState.NONE
) -> Subject:
    """Load what the gate must know of a study, for this actor."""
    granted = actor.role in NEEDS_GRANT and has_grant(
        StudyGrant, user_id=actor.user_id, target=study, codename=SEE_STUDY
    )
    return Subject(
        tenant_id=actor.tenant_id,
        category=category,
        study_id=StudyId(study.pk),
        institution_id=InstitutionId(study.institution_id),
        patient_pseudonym=study.patient.pseudonym,
        is_granted=granted,
        is_withheld=not is_result_visible(actor, review),
    )


def collection_of(actor: Actor, category: DataCategory = DataCategory.IDENTIFYING_METADATA) -> Subject:
    """Return the subject of a search: no study in particular."""
    return Subject(tenant_id=actor.tenant_id, category=category)

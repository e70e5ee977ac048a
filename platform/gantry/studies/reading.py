"""Reads of patient data: each decides, records, commits, and only then returns what to read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from gantry.agreements.public import require
from gantry.audit.public import Entry, Kind, record, record_access
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.vocabulary import Activity, ActorKind, DataCategory, GrantKind
from gantry.studies.errors import ObjectUnavailableError
from gantry.studies.finding import MAX_VALUES, has_pattern, has_prefix, has_words, matching, studies_with
from gantry.studies.models import Instance, QuarantinedInstance, Series, StoredObject, Study, StudyGrant
from gantry.studies.policies import (
    collection_of,
    require_study,
    result_condition,
    review_condition,
    visible_studies,
)
from gantry.studies.selectors import find_studies, list_instances, list_series
from gantry.studies.terms import TermKind, fold_case
from gantry.vault.public import KeyDestroyedError, SealedReader, StoredRef, VaultNotFoundError, get_vault


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """What a search asks for; every field narrows. Names and descriptions match by folded words."""

    text: str = ""
    patient: str = ""
    accession: str = ""
    description: str = ""
    study_instance_uids: tuple[str, ...] = ()
    date_from: date | None = None
    date_to: date | None = None
    modalities: tuple[str, ...] = ()
    review_states: tuple[str, ...] = ()
    referred_only: bool = False
    #: Ids, or a query of them.
    study_ids: Iterable[UUID] | None = None
    #: DICOM matching by attribute (PS3.4 C.2.2.2): exact, or with the wildcards `*` and `?`.
    patterns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """What a search for series asks for; every field narrows."""

    study_instance_uid: str | None = None
    series_instance_uids: tuple[str, ...] = ()
    modality: str = ""
    series_number: int | None = None
    patterns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search and how many there are in all, of those the actor may know of."""

    count: int
    studies: list[Study]


@dataclass(frozen=True, slots=True)
class OpenedStudy:
    """A study with the series and instances that the actor may know of."""

    study: Study
    series: list[Series]
    instances: dict[UUID, list[Instance]]


@dataclass(frozen=True, slots=True)
class OpenedInstance:
    """What it takes to read an instance's bytes; the decision is recorded and committed."""

    ref: StoredRef = field(repr=False)
    instance_id: UUID
    study_id: UUID
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    number_of_frames: int
    facts: Mapping[str, Any]


#: Sort keys of the worklist; ties are broken by id, so that paging neither repeats nor skips.
SORT_FIELDS = {
    "received": "received_at",
    "study_date": "study_date",
    "patient_name": "patient_name_folded",
    "modality": "modalities",
    "description": "description_folded",
    "state": "state",
}


#: Attributes of studies that can be matched by pattern, with what they are among a study's terms.
STUDY_PATTERNS = {
    "PatientName": TermKind.PATIENT_NAME,
    "PatientID": TermKind.PATIENT_ID,
    "AccessionNumber": TermKind.ACCESSION_NUMBER,
    "StudyDescription": TermKind.DESCRIPTION,
    "StudyID": TermKind.STUDY_ID,
    "ReferringPhysicianName": TermKind.REFERRING_PHYSICIAN,
}
#: Of series, with their columns.
SERIES_PATTERNS = {"SeriesDescription": "description", "BodyPartExamined": "body_part_examined"}


def _has_pattern(name: str, pattern: str) -> Q:
    condition = has_pattern(STUDY_PATTERNS[name], pattern)
    if condition is None:
        raise InvalidInputError(f"There are too many values of {name} to compare. Begin the pattern with letters.")
    return condition


def _matching_series(rows: QuerySet[Series], column: str, pattern: str) -> QuerySet[Series]:
    """Keep the series whose value matches; the different values are few, and compared here."""
    values = rows.order_by(column).values_list(column, flat=True).distinct()[:MAX_VALUES]
    folded = {value: value.lower() for value in values}
    found = set(matching(pattern.lower(), folded.values()))
    return rows.filter(**{f"{column}__in": [value for value, text in folded.items() if text in found]})


def _text_condition(text: str) -> Q:
    """Return the condition of terms by which a text typed into one field finds a study."""
    condition = has_prefix(TermKind.PATIENT_ID, TermKind.ACCESSION_NUMBER, prefix=fold_case(text))
    words = has_words(TermKind.NAME_WORD, TermKind.DESCRIPTION_WORD, text=text)
    return condition | words if words else condition


def _patient_condition(text: str) -> Q:
    condition = has_prefix(TermKind.PATIENT_ID, prefix=fold_case(text))
    words = has_words(TermKind.NAME_WORD, text=text)
    return condition | words if words else condition


def _term_conditions(wanted: StudyFilter) -> Iterator[Q]:
    """Yield a condition of terms for everything that is looked for by text."""
    if wanted.text:
        yield _text_condition(wanted.text)
    if wanted.patient:
        yield _patient_condition(wanted.patient)
    if wanted.accession:
        yield has_prefix(TermKind.ACCESSION_NUMBER, prefix=fold_case(wanted.accession))
    if wanted.description and (words := has_words(TermKind.DESCRIPTION_WORD, text=wanted.description)):
        yield words
    if wanted.modalities:
        yield Q(kind=TermKind.MODALITY, term__in=wanted.modalities)
    for name, pattern in wanted.patterns.items():
        yield _has_pattern(name, pattern)


def filter_studies(actor: Actor, wanted: StudyFilter) -> QuerySet[Study]:
    """Return the visible studies that match; to be used inside a service that has decided."""
    studies = visible_studies(actor).select_related("patient", "institution")
    for condition in _term_conditions(wanted):
        studies = studies.filter(pk__in=studies_with(condition))
    if wanted.study_instance_uids:
        studies = studies.filter(study_instance_uid__in=wanted.study_instance_uids)
    if wanted.date_from:
        studies = studies.filter(study_date__gte=wanted.date_from)
    if wanted.date_to:
        studies = studies.filter(study_date__lte=wanted.date_to)
    if wanted.review_states:
        studies = studies.filter(review_condition(actor, wanted.review_states))
    if wanted.referred_only:
        studies = studies.filter(pk__in=StudyGrant.objects.filter(kind=GrantKind.REFERRAL).values("content_object_id"))
    if wanted.study_ids is not None:
        studies = studies.filter(pk__in=wanted.study_ids)
    return studies


@atomic_service
def search_studies(
    *,
    actor: Actor,
    wanted: StudyFilter,
    sort: str = "received",
    descending: bool = True,
    offset: int = 0,
    limit: int = 50,
    asked: bytes = b"",
    clock: Clock = SYSTEM_CLOCK,
) -> Page:
    """Search the studies an actor may know of; what they may not know of is not counted either.

    `asked` is the request as it came, which the audit trail keeps encrypted (BALP `entity.query`).
    """
    decision = require(actor=actor, activity=Activity.FIND, subject=collection_of(actor), clock=clock)
    studies = filter_studies(actor, wanted)
    order = SORT_FIELDS[sort]
    page = list(studies.order_by(f"-{order}" if descending else order, "pk")[offset : offset + limit])
    entry = Entry(
        kind=Kind.QUERY,
        action="studies.searched",
        decision=decision,
        subject=collection_of(actor),
        detail={"studies": str(len(page))},
        patients=tuple(dict.fromkeys(study.patient.pseudonym for study in page)),
        sealed=asked,
    )
    record(actor=actor, entry=entry, clock=clock)
    return Page(count=studies.count(), studies=page)


@atomic_service
def open_study(
    *, actor: Actor, study_id: UUID | None = None, study_instance_uid: str | None = None, clock: Clock = SYSTEM_CLOCK
) -> OpenedStudy:
    """Open a study's tree for showing.

    Raises
    ------
    NotFoundError
        Absent, or not for this actor to know of.
    Refused
        Known, but not allowed.
    """
    studies = find_studies(actor, study_id=study_id, study_instance_uid=study_instance_uid)
    study, subject, decision = require_study(
        actor, studies, activity=Activity.VIEW, category=DataCategory.IDENTIFYING_METADATA, clock=clock
    )
    record_access(
        actor=actor, action="study.opened", decision=decision, subject=subject, study_id=study.pk, clock=clock
    )
    series = list_series(actor, study)
    instances: dict[UUID, list[Instance]] = {one.pk: [] for one in series}
    for instance in list_instances(series).order_by("instance_number", "sop_instance_uid"):
        instances[instance.series_id].append(instance)
    return OpenedStudy(study=study, series=series, instances=instances)


def retrieval_activity(actor: Actor) -> Activity:
    """Return what fetching instances is: a person's viewer shows them, a system takes them away."""
    return Activity.VIEW if actor.kind is ActorKind.PERSON else Activity.EXPORT


@atomic_service
def open_instances(
    *,
    actor: Actor,
    study_instance_uid: str,
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
    activity: Activity,
    action: str,
    clock: Clock = SYSTEM_CLOCK,
) -> list[OpenedInstance]:
    """Open the instances of a study, a series, or one instance, for reading their bytes.

    Raises
    ------
    NotFoundError
        Nothing there that this actor may know of.
    Refused
        Known, but not allowed.
    """
    studies = find_studies(actor, study_instance_uid=study_instance_uid)
    study, subject, decision = require_study(
        actor, studies, activity=activity, category=DataCategory.PIXEL_DATA, clock=clock
    )
    rows = (
        Instance.objects.filter(study=study).filter(result_condition(actor, "series__review")).select_related("series")
    )
    if series_instance_uid is not None:
        rows = rows.filter(series__series_instance_uid=series_instance_uid)
    if sop_instance_uid is not None:
        rows = rows.filter(sop_instance_uid=sop_instance_uid)
    found = list(rows.order_by("series__series_number", "instance_number", "sop_instance_uid"))
    if not found:
        raise NotFoundError
    record_access(actor=actor, action=action, decision=decision, subject=subject, study_id=study.pk, clock=clock)
    analyses = {str(row.series.analysis_id) for row in found if row.series.analysis_id is not None}
    if analyses:
        listed = ",".join(sorted(analyses))
        record_access(
            actor=actor, action="ai_results.retrieved", decision=decision, subject=subject, study_id=study.pk,
            detail={"analyses": listed, "as": action}, distinct=hashlib.sha256(listed.encode()).hexdigest(), clock=clock,
        )  # fmt: skip
    return [opened_instance(row, study) for row in found]


def opened_instance(row: Instance, study: Study) -> OpenedInstance:
    """Return what a reader needs of an instance's row."""
    return OpenedInstance(
        ref=stored_ref(row, row.tenant_id),
        instance_id=row.pk,
        study_id=study.pk,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=row.series.series_instance_uid,
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        modality=row.series.modality,
        number_of_frames=row.number_of_frames,
        facts=row.facts,
    )


def stored_ref(row: StoredObject, tenant_id: UUID) -> StoredRef:
    """Return the vault's reference that a row keeps."""
    return StoredRef(
        tenant_id=tenant_id,
        object_id=row.object_id,
        key_id=row.key_id,
        wrapped_key=bytes(row.wrapped_key),
        size_bytes=row.size_bytes,
        sha256=bytes(row.sha256).hex(),
    )


def open_object(ref: StoredRef) -> SealedReader:
    """Open the bytes of something that a service has opened.

    Raises
    ------
    ObjectUnavailableError
        The row is there and its object is not: our loss, and no absence.
    """
    try:
        return get_vault().open(ref)
    except KeyDestroyedError:
        raise
    except VaultNotFoundError:
        raise ObjectUnavailableError("The stored object cannot be read at the moment. Tell support.") from None


@atomic_service
def search_series(
    *, actor: Actor, wanted: SeriesFilter, offset: int, limit: int, asked: bytes = b"", clock: Clock = SYSTEM_CLOCK
) -> list[Series]:
    """Search series: of one study, or of all the actor may know of (QIDO-RS)."""
    decision = require(actor=actor, activity=Activity.FIND, subject=collection_of(actor), clock=clock)
    studies = visible_studies(actor)
    if wanted.study_instance_uid is not None:
        studies = studies.filter(study_instance_uid=wanted.study_instance_uid)
    rows = Series.objects.filter(study__in=studies).filter(result_condition(actor)).select_related("study__patient")
    if wanted.series_instance_uids:
        rows = rows.filter(series_instance_uid__in=wanted.series_instance_uids)
    if wanted.modality:
        rows = rows.filter(modality=wanted.modality)
    if wanted.series_number is not None:
        rows = rows.filter(series_number=wanted.series_number)
    for name, pattern in wanted.patterns.items():
        rows = _matching_series(rows, SERIES_PATTERNS[name], pattern)
    rows = rows.order_by("study__study_instance_uid", "series_number", "series_instance_uid")
    found = list(rows[offset : offset + limit])
    entry = Entry(
        kind=Kind.QUERY,
        action="series.searched",
        decision=decision,
        subject=collection_of(actor),
        detail={"series": str(len(found))},
        patients=tuple(dict.fromkeys(one.study.patient.pseudonym for one in found)),
        sealed=asked,
    )
    record(actor=actor, entry=entry, clock=clock)
    return found


@atomic_service
def list_quarantine(
    *, actor: Actor, offset: int = 0, limit: int = 50, clock: Clock = SYSTEM_CLOCK
) -> tuple[int, Sequence[QuarantinedInstance]]:
    """Return what is in quarantine at the actor's institutions, newest first."""
    decision = require(actor=actor, activity=Activity.STORE, subject=collection_of(actor), clock=clock)
    rows = QuarantinedInstance.objects.order_by("-received_at", "pk")
    if actor.institutions is not None:
        rows = rows.filter(institution_id__in=actor.institutions)
    entry = Entry(kind=Kind.QUERY, action="quarantine.listed", decision=decision, subject=collection_of(actor))
    record(actor=actor, entry=entry, clock=clock)
    return rows.count(), list(rows[offset : offset + limit])

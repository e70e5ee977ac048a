"""Volume packs of series: asked for, written by a job, opened for rendering.

A pack is of the instances that its series had: when more arrive, another one is written and takes its place. The
row's attempt guards it, so that of two who write one only the last puts its result there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import Error as DatabaseError
from django.db.models import Exists, OuterRef, Q

from gantry.agreements.public import decide, require
from gantry.audit.public import Entry, Kind, Outcome, record
from gantry.foundation.boundary import record_refusal
from gantry.foundation.jobs import job
from gantry.foundation.outbox import emit, study_stream
from gantry.foundation.scope import atomic_service, current_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.ids import TenantId
from gantry.kernel.vocabulary import Activity, DataCategory
from gantry.studies.domain import PackState, StudyState
from gantry.studies.events import SeriesPacked
from gantry.studies.ingest import stored_columns
from gantry.studies.models import Instance, Series, SeriesPack, Study
from gantry.studies.packing import write_series_pack
from gantry.studies.policies import subject_of
from gantry.studies.reading import stored_ref
from gantry.vault.public import (
    KeyDestroyedError,
    SealedObject,
    StoredRef,
    StoreFullError,
    VaultError,
    VaultUnavailableError,
    get_vault,
)
from gantry_imaging.errors import ImagingError
from gantry_imaging.pack import PackIndex

log = structlog.get_logger(__name__)

#: Modalities whose pixels, where they have any, are no picture to look at by themselves.
_NOT_SHOWN: Final = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "DOC")
#: A pack that was asked for so long ago is asked for again: its job is lost.
_LOST_AFTER: Final = timedelta(minutes=15)
#: Refusals of the gate begin so; they may be over when somebody asks again.
_GATE_CODES: Final = ("agreement.", "role.", "institution.", "subject.")


@job("studies.pack_study", queue_name="packs")
def pack_study_job(study_id: UUID) -> None:
    """Ask for the packs of a study that is complete."""
    request_missing_packs(study_id=study_id)


@job("studies.pack_series", queue_name="packs")
def pack_series_job(series_id: UUID) -> None:
    """Write the pack of one series."""
    pack_series(series_id=series_id)


@dataclass(frozen=True, slots=True)
class PackStatus:
    """How it stands with the pack of all of a series' instances.

    `ref` is its object where `state` is `ready`, else None. `code` and `sentence` say why there is none or, of one that is
    ready, why its frames are no volume.
    """

    state: PackState
    code: str = ""
    sentence: str = ""
    kind: str = ""
    number_of_frames: int = 0
    volume_bytes: int = 0
    ref: StoredRef | None = field(default=None, repr=False)


def get_pack(series: Series) -> PackStatus:
    """Return how it stands with a series' pack; to be used inside a service that has decided."""
    pack = SeriesPack.objects.filter(series=series).first()
    if pack is None or pack.number_of_instances != series.number_of_instances:
        return PackStatus(PackState.PREPARING)
    state = PackState(pack.state)
    return PackStatus(
        state=state,
        code=pack.code,
        sentence=pack.sentence,
        kind=pack.kind,
        number_of_frames=pack.number_of_frames,
        volume_bytes=pack.volume_bytes,
        ref=_pack_ref(pack) if state is PackState.READY else None,
    )


@atomic_service
def request_pack(*, series_id: UUID, clock: Clock = SYSTEM_CLOCK) -> PackState:
    """See to it that a series has a pack of all its instances, and return how that stands.

    Called by services that have decided: whether the pack may be written, the gate is asked by the job. Asking again
    changes nothing while one is being written; what failed is tried again, and what the gate refused once it no longer
    does.
    """
    series = Series.objects.get(pk=series_id)
    SeriesPack.objects.bulk_create(
        [SeriesPack(series=series, study_id=series.study_id, requested_at=clock.now() - _LOST_AFTER)],
        ignore_conflicts=True,
    )
    pack = SeriesPack.objects.select_for_update().get(series=series)
    if not _is_due(pack, series, clock):
        return PackState(pack.state)
    pack.state, pack.code, pack.sentence, pack.requested_at = PackState.PREPARING, "", "", clock.now()
    pack.save(update_fields=["state", "code", "sentence", "requested_at"])
    pack_series_job.defer(series_id=series.pk)
    return PackState.PREPARING


def _is_due(pack: SeriesPack, series: Series, clock: Clock) -> bool:
    if pack.state == PackState.PREPARING:
        return pack.requested_at <= clock.now() - _LOST_AFTER
    if pack.number_of_instances != series.number_of_instances:
        return True
    if pack.state == PackState.REFUSED and pack.code.startswith(_GATE_CODES):
        return _may_be_written(series, clock)
    return pack.state == PackState.FAILED


def _may_be_written(series: Series, clock: Clock) -> bool:
    """Tell whether the gate would let the worker write a pack now; the worker asks again, and what it hears counts."""
    worker = system_actor(TenantId(series.tenant_id))
    study = Study.objects.select_related("patient").get(pk=series.study_id)
    subject = subject_of(study, worker, DataCategory.PIXEL_DATA)
    return decide(actor=worker, activity=Activity.RENDER, subject=subject, clock=clock).allowed


@atomic_service
def request_missing_packs(*, study_id: UUID | None = None, limit: int = 100, clock: Clock = SYSTEM_CLOCK) -> int:
    """Ask for the packs of images that have none of all their instances, in one study or in every complete one.

    Returns how many were asked for. What failed is left for somebody to ask for.
    """
    done = SeriesPack.objects.filter(series=OuterRef("pk")).filter(
        Q(number_of_instances=OuterRef("number_of_instances")) & ~Q(state=PackState.PREPARING)
        | Q(state=PackState.PREPARING, requested_at__gt=clock.now() - _LOST_AFTER)
    )
    images = Instance.objects.filter(series=OuterRef("pk"), rows__gt=0, facts__has_pixels=True)
    missing = Series.objects.filter(~Exists(done), Exists(images), study__state=StudyState.COMPLETE)
    if study_id is not None:
        missing = missing.filter(study_id=study_id)
    wanted = list(missing.exclude(modality__in=_NOT_SHOWN).order_by("pk").values_list("pk", flat=True)[:limit])
    for series_id in wanted:
        request_pack(series_id=series_id, clock=clock)
    return len(wanted)


@dataclass(frozen=True, slots=True)
class _Claim:
    """One attempt at one pack: what it is to be written of, and under which number."""

    series: Series
    study: Study
    pack_id: UUID
    attempt: int
    subject: Subject
    decision: Decision
    instances: list[tuple[str, StoredRef]]


def pack_series(*, series_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Write the pack of a series if it has none of all its instances; every way it can end is written down.

    What the store or the database cannot do now is raised, and the queue runs the job again.
    """
    actor = current_scope().actor
    try:
        claim = _claim(actor, series_id, clock)
    except Refused as refused:
        record_refusal(refused)
        _refuse(series_id, refused.code, f"The platform may not prepare these images for its viewer. {refused}", clock)
        return
    if claim is None:
        return
    try:
        sealed, index = write_series_pack(get_vault(), claim.study.tenant_id, claim.instances)
    except (StoreFullError, VaultUnavailableError, DatabaseError):
        raise
    except Exception as error:  # noqa: BLE001 - every error ends in a sentence; see _explain
        state, code, sentence = _explain(error)
        _end(actor, claim, clock, state=state, code=code, sentence=sentence)
        return
    try:
        replaced = _end(actor, claim, clock, sealed=sealed, index=index)
    except BaseException:
        get_vault().discard(sealed)
        raise
    if replaced is not None:
        get_vault().discard(replaced)


def _explain(error: Exception) -> tuple[PackState, str, str]:
    if isinstance(error, ImagingError):
        return PackState.REFUSED, error.code, error.sentence
    if isinstance(error, KeyDestroyedError):
        return PackState.REFUSED, error.code, "These images have been erased."
    if isinstance(error, VaultError):
        return PackState.FAILED, error.code, "The stored images cannot be read any more. Tell support."
    log.exception("pack.unexpected", error=type(error).__name__)  # noqa: LOG004 - called while it is handled
    return PackState.FAILED, "pack.unexpected", "Something went wrong on our side. Open the series again to retry."


@atomic_service
def _claim(actor: Actor, series_id: UUID, clock: Clock) -> _Claim | None:
    """Take the pack in hand, or return None where it is there already."""
    series = Series.objects.filter(pk=series_id).first()
    if series is None:
        return None
    study = Study.objects.select_related("patient").get(pk=series.study_id)
    subject = subject_of(study, actor, DataCategory.PIXEL_DATA)
    decision = require(actor=actor, activity=Activity.RENDER, subject=subject, clock=clock)
    pack = SeriesPack.objects.select_for_update().filter(series=series).first()
    if pack is None or (
        pack.state in {PackState.READY, PackState.REFUSED} and pack.number_of_instances == series.number_of_instances
    ):
        return None
    pack.state, pack.attempt, pack.requested_at = PackState.PREPARING, pack.attempt + 1, clock.now()
    pack.save(update_fields=["state", "attempt", "requested_at"])
    record(actor=actor, entry=_entry("series.packing", decision, subject, series), clock=clock)
    rows = Instance.objects.filter(series=series).order_by("sop_instance_uid")
    return _Claim(
        series=series,
        study=study,
        pack_id=pack.pk,
        attempt=pack.attempt,
        subject=subject,
        decision=decision,
        instances=[(row.sop_instance_uid, stored_ref(row, row.tenant_id)) for row in rows],
    )


@atomic_service
def _end(
    actor: Actor,
    claim: _Claim,
    clock: Clock,
    *,
    sealed: SealedObject | None = None,
    index: PackIndex | None = None,
    state: PackState = PackState.READY,
    code: str = "",
    sentence: str = "",
) -> StoredRef | SealedObject | None:
    """Put the result into the row; returns the object that nobody needs any more, to be discarded after commit."""
    pack = SeriesPack.objects.select_for_update().filter(pk=claim.pack_id).first()
    if pack is None or pack.attempt != claim.attempt:  # another took over, or the study was erased
        log.warning("pack.fenced", series_id=str(claim.series.pk), attempt=claim.attempt)
        return sealed
    replaced = _pack_ref(pack) if pack.object_id is not None else None
    values: dict[str, Any] = {
        "state": state,
        "code": code[:64],
        "sentence": sentence[:500],
        "number_of_instances": len(claim.instances),
        "study_revision": claim.study.revision,
        "written_at": clock.now(),
        **dict.fromkeys(("object_id", "key_id", "wrapped_key", "size_bytes", "sha256")),
    }
    if sealed is not None and index is not None:
        key_id = claim.study.patient.key_id
        values |= stored_columns(sealed, key_id, get_vault().seal(claim.study.tenant_id, sealed, key_id))
        values |= {
            "kind": index.kind,
            "number_of_frames": len(index.frames),
            "volume_bytes": index.volume_bytes,
            # Why a stack is no volume.
            "code": index.reason_code[:64],
            "sentence": index.reason[:500],
        }
    SeriesPack.objects.filter(pk=pack.pk).update(**values)
    outcome = Outcome.SUCCESS if state is PackState.READY else Outcome.FAILURE
    entry = _entry(
        "series.packed", claim.decision, claim.subject, claim.series, outcome=outcome, state=state, code=code
    )
    record(actor=actor, entry=entry, clock=clock)
    _announce(claim.series, state, clock)
    return replaced


def _refuse(series_id: UUID, code: str, sentence: str, clock: Clock) -> None:
    with unit_of_work():
        series = Series.objects.filter(pk=series_id).first()
        if series is None:
            return
        SeriesPack.objects.filter(series=series, state=PackState.PREPARING).update(
            state=PackState.REFUSED,
            code=code[:64],
            sentence=sentence[:500],
            number_of_instances=series.number_of_instances,
            written_at=clock.now(),
        )
        _announce(series, PackState.REFUSED, clock)


def _announce(series: Series, state: PackState, clock: Clock) -> None:
    event = SeriesPacked(
        study_id=series.study_id, series_id=series.pk, state=state, is_ai_result=series.analysis_id is not None
    )
    emit(event, streams=(study_stream(series.study_id),), clock=clock)


def _entry(
    action: str,
    decision: Decision,
    subject: Subject,
    series: Series,
    *,
    outcome: Outcome = Outcome.SUCCESS,
    **detail: str,
) -> Entry:
    return Entry(
        kind=Kind.ACCESSED,
        action=action,
        outcome=outcome,
        decision=decision,
        subject=subject,
        detail={"series": str(series.pk), **{key: str(value) for key, value in detail.items() if value}},
    )


def _pack_ref(pack: SeriesPack) -> StoredRef:
    assert pack.object_id is not None
    assert pack.key_id is not None
    assert pack.size_bytes is not None
    return StoredRef(
        tenant_id=pack.tenant_id,
        object_id=pack.object_id,
        key_id=pack.key_id,
        wrapped_key=bytes(pack.wrapped_key or b""),
        size_bytes=pack.size_bytes,
        sha256=bytes(pack.sha256 or b"").hex(),
    )

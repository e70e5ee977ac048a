"""Ingest: staged ciphertext and trusted headers become patients, studies, series and instances.

Everything of one request is indexed, audited and announced in one short transaction. What cannot be
stored is kept in quarantine with the reason, and reported as failed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, OperationalError

from gantry.agreements.public import require
from gantry.audit.public import Entry, Kind, Outcome, record
from gantry.foundation.outbox import WORKLIST, emit, lock_streams, study_stream
from gantry.foundation.scope import unit_of_work
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision
from gantry.kernel.ids import InstitutionId, StudyId, new_uuid
from gantry.kernel.vocabulary import Activity, DataCategory
from gantry.studies.destruction.domain import ErasedMeanwhileError
from gantry.studies.destruction.fences import erasures_begun, hold_off_erasures
from gantry.studies.domain import StudyState, fold_name, identity_scope, names_differ
from gantry.studies.errors import UnknownInstitutionError
from gantry.studies.events import StudyArrived, StudyChanged
from gantry.studies.finding import write_terms
from gantry.studies.models import Instance, Patient, QuarantinedInstance, Series, Study
from gantry.studies.parsing.model import ParsedInstance, Rejection
from gantry.tenancy.public import Institution
from gantry.vault.public import SealedObject, get_vault


class Status(StrEnum):
    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Received:
    """One file of a request: its bytes, sealed and staged, and what the parser made of it."""

    sealed: SealedObject
    parsed: ParsedInstance | Rejection


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What became of one file."""

    status: Status
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str = ""
    code: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class IngestPermit:
    """That the gate let this actor store for this institution; asked before the body is read."""

    institution_id: InstitutionId
    decision: Decision
    #: When the tenant's last erasure had begun by then: after another one, nothing new is made under this permit.
    erased_at: datetime | None = None


#: Conflicts that only a second look can settle: two requests met on one SOP UID.
_ATTEMPTS = 4


def _store_subject(actor: Actor, institution_id: UUID) -> Subject:
    return Subject(
        tenant_id=actor.tenant_id, category=DataCategory.PIXEL_DATA, institution_id=InstitutionId(institution_id)
    )


def open_ingest(*, actor: Actor, institution_id: UUID | None, clock: Clock = SYSTEM_CLOCK) -> IngestPermit:
    """Decide whether `actor` may store, and for which institution, before a byte of the body is read.

    Raises
    ------
    Refused
        No agreement in force, the role may not store, or it is another institution's.
    UnknownInstitutionError
        There is no such institution.
    """
    with unit_of_work():
        # Asked without an institution first: a tenant without agreement has nothing else to say.
        require(
            actor=actor,
            activity=Activity.STORE,
            subject=Subject(tenant_id=actor.tenant_id, category=DataCategory.PIXEL_DATA),
            clock=clock,
        )
        chosen = _choose_institution(actor, institution_id)
        decision = require(actor=actor, activity=Activity.STORE, subject=_store_subject(actor, chosen), clock=clock)
        return IngestPermit(institution_id=chosen, decision=decision, erased_at=erasures_begun())


def _choose_institution(actor: Actor, wanted: UUID | None) -> InstitutionId:
    institutions = Institution.objects.all()
    if actor.institutions is not None:
        institutions = institutions.filter(pk__in=actor.institutions)
    if wanted is not None:
        institutions = institutions.filter(pk=wanted)
    found = institutions.order_by("-is_default", "code").first()
    if found is None:
        raise UnknownInstitutionError("There is no such institution, or you may not store for it.")
    return InstitutionId(found.pk)


def store_batch(
    *, actor: Actor, permit: IngestPermit, received: Sequence[Received], clock: Clock = SYSTEM_CLOCK
) -> list[IngestOutcome]:
    """Index what was staged, in one transaction; answer in the order received.

    Raises
    ------
    Refused
        The agreement ended while the body was on its way; nothing is stored.
    """
    vault = get_vault()
    try:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with unit_of_work():
                    outcomes = _Batch(actor, permit, clock).store(received)
                break
            except (IntegrityError, OperationalError):
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(0.05 * attempt)
    except BaseException:
        for item in received:
            vault.discard(item.sealed)
        raise
    for item, (_, kept) in zip(received, outcomes, strict=True):
        if not kept:
            vault.discard(item.sealed)
    return [outcome for outcome, _ in outcomes]


class _Batch:
    """One request's files, stored within the transaction in progress."""

    def __init__(self, actor: Actor, permit: IngestPermit, clock: Clock) -> None:
        self.actor = actor
        self.clock = clock
        self.institution_id = permit.institution_id
        self.erased_at = permit.erased_at
        self.now = clock.now()
        self.vault = get_vault()
        self.studies: dict[str, Study] = {}
        self.series: dict[str, Series] = {}
        self.known: dict[str, Instance] = {}
        self.new: list[Instance] = []
        #: Studies and patients that this request brought in.
        self.fresh: set[UUID] = set()

    def store(self, received: Sequence[Received]) -> list[tuple[IngestOutcome, bool]]:
        """Return each file's outcome and whether its staged object is now in use."""
        hold_off_erasures()
        decision = require(
            actor=self.actor,
            activity=Activity.STORE,
            subject=_store_subject(self.actor, self.institution_id),
            clock=self.clock,
        )
        parsed = [item.parsed for item in received if isinstance(item.parsed, ParsedInstance)]
        # Locks are taken in the order of UIDs, so that two requests cannot wait for each other.
        for instance in sorted(parsed, key=lambda one: one.study_instance_uid):
            self._open_study(instance)
        if self.fresh and erasures_begun() != self.erased_at:
            # It may be of somebody who was erased while these bytes were on their way.
            raise ErasedMeanwhileError(
                "Data were erased while this was on its way, so it was not stored. Send it again."
            )
        uids = [instance.sop_instance_uid for instance in parsed]
        for row in Instance.objects.filter(sop_instance_uid__in=uids).select_related("study"):
            self.known[row.sop_instance_uid] = row
        outcomes = [self._store_one(item) for item in received]
        Instance.objects.bulk_create(self.new)
        self._finish_studies(decision, outcomes)
        return outcomes

    def _open_study(self, parsed: ParsedInstance) -> None:
        uid = parsed.study_instance_uid
        if uid in self.studies:
            return
        study = (
            Study.objects.select_for_update(of=("self",))
            .select_related("patient")
            .filter(study_instance_uid=uid)
            .first()
        )
        if study is None:
            patient, facts = self._open_patient(parsed), parsed.patient
            study = Study(
                patient=patient,
                institution_id=self.institution_id,
                study_instance_uid=uid,
                patient_name=facts.patient_name[:512],
                patient_name_folded=fold_name(facts.patient_name)[:512],
                patient_birth_date=facts.birth_date,
                patient_sex=facts.sex[:16],
                identity_differs=_is_somebody_else(patient.name, patient.birth_date, parsed),
                accession_number=parsed.study.accession_number,
                study_id=parsed.study.study_id[:64],
                description=parsed.study.study_description[:200],
                description_folded=fold_name(parsed.study.study_description)[:200],
                study_date=parsed.study.study_date,
                study_time=parsed.study.study_time,
                referring_physician_name=parsed.study.referring_physician_name[:400],
                received_at=self.now,
                last_instance_at=self.now,
            )
            study.save(force_insert=True)
            if study.identity_differs:
                # Nobody knows yet which of them is right, so all of them say so.
                Study.objects.filter(patient=patient).update(identity_differs=True)
            self.fresh.add(study.pk)
        self.studies[uid] = study

    def _identity(self, parsed: ParsedInstance) -> dict[str, str]:
        facts = parsed.patient
        scope = identity_scope(
            issuer=facts.issuer_of_patient_id,
            patient_id=facts.patient_id,
            institution_id=str(self.institution_id),
            study_instance_uid=parsed.study_instance_uid,
        )
        return {"issuer": scope, "patient_id": facts.patient_id}

    def _open_patient(self, parsed: ParsedInstance) -> Patient:
        facts = parsed.patient
        identity = self._identity(parsed)
        patient = Patient(
            **identity,
            issuer_of_patient_id=facts.issuer_of_patient_id,
            name=facts.patient_name[:400],
            name_folded=fold_name(facts.patient_name)[:400],
            birth_date=facts.birth_date,
            sex=facts.sex[:16],
        )
        offered = patient.pk
        Patient.objects.bulk_create([patient], ignore_conflicts=True)
        patient = Patient.objects.get(**identity)
        if patient.pk == offered:
            self.fresh.add(patient.pk)
        self.vault.keys.create_key(self.actor.tenant_id, patient.key_id)
        return patient

    def _store_one(self, item: Received) -> tuple[IngestOutcome, bool]:
        parsed = item.parsed
        if isinstance(parsed, Rejection):
            return self._quarantine(item, parsed.code, parsed.sentence)
        if parsed.preamble == "missing":
            return self._quarantine(
                item, "dicom.not_part10", "It has no DICOM file header (PS3.10 §7.1); export it again as a DICOM file."
            )
        study = self.studies[parsed.study_instance_uid]
        known = self.known.get(parsed.sop_instance_uid)
        if known is not None:
            if bytes(known.sha256).hex() == item.sealed.sha256:
                return self._outcome(Status.DUPLICATE, parsed), False
            if known.study_id != study.pk:
                return self._quarantine(
                    item, "dicom.sop_uid_in_other_study", "Its SOP Instance UID already belongs to another study."
                )
            return self._quarantine(
                item, "dicom.sop_uid_conflict", "Its SOP Instance UID is already stored with other content."
            )
        identity = self._identity(parsed)
        if (study.patient.patient_id, study.patient.issuer) != (identity["patient_id"], identity["issuer"]):
            return self._quarantine(
                item, "dicom.study_of_other_patient", "Its Study Instance UID is already stored under another patient."
            )
        if _is_somebody_else(study.patient_name, study.patient_birth_date, parsed):
            return self._quarantine(
                item,
                "dicom.patient_differs_in_study",
                "Its patient's name or birth date is not that of the study as it was stored before.",
            )
        if study.institution_id != self.institution_id:
            return self._quarantine(
                item, "dicom.study_of_other_institution", "Its study is already stored by another institution."
            )
        series = self._open_series(study, parsed)
        if series.study_id != study.pk or series.analysis_id is not None:
            return self._quarantine(
                item,
                "dicom.series_in_other_study",
                "Its Series Instance UID already belongs to another study or result.",
            )
        row = self._instance(item, parsed, study, series)
        self.new.append(row)
        self.known[parsed.sop_instance_uid] = row
        return self._outcome(Status.STORED, parsed), True

    def _open_series(self, study: Study, parsed: ParsedInstance) -> Series:
        uid = parsed.series_instance_uid
        series = self.series.get(uid) or Series.objects.filter(series_instance_uid=uid).first()
        if series is None:
            facts = parsed.series
            series = Series(
                study=study,
                series_instance_uid=uid,
                modality=facts.modality[:16],
                series_number=facts.series_number,
                description=facts.series_description[:200],
                body_part_examined=facts.body_part_examined[:16],
                laterality=(facts.laterality or parsed.acquisition.image_laterality)[:16],
                frame_of_reference_uid=facts.frame_of_reference_uid[:64],
            )
            series.save(force_insert=True)
        self.series[uid] = series
        return series

    def _instance(self, item: Received, parsed: ParsedInstance, study: Study, series: Series) -> Instance:
        return Instance(
            series=series,
            study=study,
            sop_instance_uid=parsed.sop_instance_uid,
            sop_class_uid=parsed.sop_class_uid,
            transfer_syntax_uid=parsed.transfer_syntax_uid,
            instance_number=parsed.acquisition.instance_number,
            number_of_frames=parsed.image.number_of_frames,
            rows=parsed.image.rows or 0,
            columns=parsed.image.columns or 0,
            facts=imaging_facts(parsed),
            revision=study.revision + (study.state == StudyState.COMPLETE),
            received_at=self.now,
            **self._stored_columns(item.sealed, study.patient.key_id),
        )

    def _quarantine(self, item: Received, code: str, sentence: str) -> tuple[IngestOutcome, bool]:
        parsed = item.parsed
        known = QuarantinedInstance.objects.filter(
            institution_id=self.institution_id, sha256=bytes.fromhex(item.sealed.sha256), reason_code=code
        )
        if known.exists():
            return self._outcome(Status.QUARANTINED, parsed, code, sentence), False
        # A key of its own: whoever releases it re-wraps it under the patient's and destroys this one,
        # so that erasing the patient reaches the copies in old backups, too.
        key_id = new_uuid()
        self.vault.keys.create_key(self.actor.tenant_id, key_id)
        row = QuarantinedInstance(
            institution_id=self.institution_id,
            reason_code=code,
            sentence=sentence[:500],
            sop_instance_uid=(parsed.sop_instance_uid or "")[:128],
            patient=self._known_patient(parsed),
            received_at=self.now,
            received_from=self.actor.id,
            **self._stored_columns(item.sealed, key_id),
        )
        row.save(force_insert=True)
        return self._outcome(Status.QUARANTINED, parsed, code, sentence), True

    def _known_patient(self, parsed: ParsedInstance | Rejection) -> Patient | None:
        """Return whose a quarantined file says it is, where we know them; else whose study it claims to be of."""
        if not isinstance(parsed, ParsedInstance):
            return None
        patient = Patient.objects.filter(**self._identity(parsed)).first()
        if patient is None and parsed.study_instance_uid in self.studies:
            patient = self.studies[parsed.study_instance_uid].patient
        return None if patient is None or patient.pk in self.fresh else patient

    def _stored_columns(self, sealed: SealedObject, key_id: UUID) -> dict[str, Any]:
        return stored_columns(sealed, key_id, self.vault.seal(self.actor.tenant_id, sealed, key_id))

    def _outcome(
        self, status: Status, parsed: ParsedInstance | Rejection, code: str = "", sentence: str = ""
    ) -> IngestOutcome:
        return IngestOutcome(
            status=status,
            sop_class_uid=parsed.sop_class_uid or "",
            sop_instance_uid=parsed.sop_instance_uid or "",
            study_instance_uid=parsed.study_instance_uid or "",
            series_instance_uid=parsed.series_instance_uid if isinstance(parsed, ParsedInstance) else "",
            code=code,
            sentence=sentence,
        )

    def _finish_studies(self, decision: Decision, outcomes: list[tuple[IngestOutcome, bool]]) -> None:
        added: dict[UUID, int] = {}
        for row in self.new:
            added[row.study_id] = added.get(row.study_id, 0) + 1
        quarantined = sum(outcome.status is Status.QUARANTINED for outcome, _ in outcomes)
        if quarantined:
            self._record(decision, "instances.quarantined", None, Outcome.FAILURE, instances=quarantined)
        for study in self.studies.values():
            count = added.get(study.pk, 0)
            if count:
                self._record(decision, "instances.stored", study, Outcome.SUCCESS, instances=count)
                self._grow(study, count)
            elif study.pk in self.fresh:
                # Every file that would have founded it went to quarantine.
                study.delete()
                if study.patient.pk in self.fresh and not Study.objects.filter(patient=study.patient).exists():
                    study.patient.delete()
        # Announced last: the streams' rows stay locked until the commit. Who works on one of the studies
        # locks its stream before the worklist's, so all of ours come before it, too.
        lock_streams(study_stream(study.pk) for study in self.studies.values() if added.get(study.pk))
        for study in sorted(self.studies.values(), key=lambda one: str(one.pk)):
            if added.get(study.pk):
                kind = StudyArrived if study.pk in self.fresh else StudyChanged
                emit(
                    kind(study_id=study.pk, state=study.state, revision=study.revision),
                    streams=(WORKLIST, study_stream(study.pk)),
                    clock=self.clock,
                )

    def _grow(self, study: Study, count: int) -> None:
        if study.state == StudyState.COMPLETE:
            study.state, study.revision = StudyState.RECEIVING, study.revision + 1
        counts: dict[UUID, int] = {}
        for row in self.new:
            counts[row.series_id] = counts.get(row.series_id, 0) + 1
        for series in self.series.values():
            if series.study_id == study.pk and counts.get(series.pk):
                series.number_of_instances += counts[series.pk]
                series.save(update_fields=["number_of_instances"])
        study.number_of_instances += count
        study.last_instance_at = self.now
        study.quiet_until = self.now + timedelta(seconds=settings.QUIET_S)
        refresh_summary(study)

    def _record(self, decision: Decision, action: str, study: Study | None, outcome: Outcome, **counts: int) -> None:
        subject = Subject(
            tenant_id=self.actor.tenant_id,
            category=DataCategory.PIXEL_DATA,
            institution_id=self.institution_id,
            study_id=StudyId(study.pk) if study else None,
            patient_pseudonym=study.patient.pseudonym if study else None,
        )
        detail = {key: str(value) for key, value in counts.items()}
        entry = Entry(
            kind=Kind.TRANSFERRED, action=action, outcome=outcome, decision=decision, subject=subject, detail=detail
        )
        record(actor=self.actor, entry=entry, clock=self.clock)


def refresh_summary(study: Study) -> None:
    """Bring a study's own counts, modalities and terms up to date with its series, and save it."""
    series = list(Series.objects.filter(study=study, analysis_id=None).values_list("modality", flat=True))
    study.number_of_series = len(series)
    study.modalities = "\\".join(sorted(set(filter(None, series))))[:128]
    study.save()
    write_terms(study)


def stored_columns(sealed: SealedObject, key_id: UUID, wrapped_key: bytes) -> dict[str, Any]:
    """Return the columns of a `StoredObject` row for a sealed object."""
    return {
        "object_id": sealed.object_id,
        "key_id": key_id,
        "wrapped_key": wrapped_key,
        "size_bytes": sealed.size_bytes,
        "sha256": bytes.fromhex(sealed.sha256),
    }


def _is_somebody_else(name: str, birth_date: date | None, parsed: ParsedInstance) -> bool:
    """Tell whether name or birth date, where both sides have one, say that this is another person."""
    theirs = parsed.patient
    dates_differ = birth_date is not None and theirs.birth_date is not None and birth_date != theirs.birth_date
    return dates_differ or names_differ(name, theirs.patient_name)


def imaging_facts(parsed: ParsedInstance) -> dict[str, Any]:
    """Return what retrieval and rendering need of a header: no identifying attribute among it."""
    geometry, image, acquisition, pixels = parsed.geometry, parsed.image, parsed.acquisition, parsed.pixel_data
    return {
        "position": list(geometry.image_position_patient),
        "orientation": list(geometry.image_orientation_patient),
        "pixel_spacing": list(geometry.pixel_spacing or geometry.imager_pixel_spacing),
        "slice_thickness": geometry.slice_thickness,
        "window_center": list(image.window_center),
        "window_width": list(image.window_width),
        "window_explanation": list(image.window_explanation),
        "photometric": image.photometric_interpretation,
        "samples": image.samples_per_pixel,
        "bits_allocated": image.bits_allocated,
        "bits_stored": image.bits_stored,
        "pixel_representation": image.pixel_representation,
        "rescale_slope": image.rescale_slope,
        "rescale_intercept": image.rescale_intercept,
        "image_type": list(acquisition.image_type),
        "has_pixels": pixels is not None,
        "preamble": parsed.preamble,
        "lossy": image.lossy_image_compression,
    }

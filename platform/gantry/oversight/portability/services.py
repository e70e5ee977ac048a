"""Giving a patient their data, or a tenant all of it: decided and recorded first, then streamed (GDPR art. 20, art. 28(3)(g)).

Files are decrypted piece by piece into the ZIP; a patient's rows are held in memory, their images never.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from gantry.access.public import require_permission
from gantry.agreements.public import decide
from gantry.analyses.public import Analysis, Finding, State
from gantry.audit.public import Entry, LedgerEmptyError, LedgerFilter, kind_of, open_ledger, record
from gantry.foundation.scope import atomic_service, current_scope, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import new_uuid
from gantry.kernel.vocabulary import Activity, AdminPermission, DataCategory, Purpose
from gantry.oversight.portability.dicomdir import Dicomdir, file_id
from gantry.oversight.portability.fhir import (
    AnalysisFacts,
    FindingFacts,
    PatientFacts,
    SeriesFacts,
    StudyFacts,
    make_bundle,
)
from gantry.studies.public import Instance, Patient, ReviewState, Series, Study, stored_ref, sum_up
from gantry.tenancy.public import get_tenant
from gantry.vault.public import SealedReader, StoredRef, get_vault
from gantry_imaging.errors import ImagingError
from gantry_imaging.part10 import read_header

_CHUNK: Final = 1024 * 1024
_READ_AHEAD: Final = 64 * 1024
#: Events of one patient that go into the copy; who wants the whole trail with proofs exports that.
_MOST_EVENTS: Final = 50_000


@dataclass(frozen=True, slots=True)
class _File:
    where: tuple[str, ...]
    ref: StoredRef = field(repr=False)


@dataclass(frozen=True, slots=True)
class PatientExport:
    """What was opened for export: everything but the images themselves, which are read as they are sent."""

    id: UUID
    files: list[_File] = field(repr=False)
    bundle: dict[str, Any] = field(repr=False)
    events: list[bytes] = field(repr=False)
    readme: str

    @property
    def total_bytes(self) -> int:
        """Size of the images."""
        return sum(file.ref.size_bytes for file in self.files)


def open_patient_export(
    *,
    actor: Actor,
    patient_id: UUID,
    reference: str = "",
    purpose: Purpose = Purpose.PATIENT_REQUEST,
    clock: Clock = SYSTEM_CLOCK,
) -> PatientExport:
    """Open all that is kept of a patient, to be handed to them or to the controller.

    Raises
    ------
    NotFoundError
        There is no such patient for this actor.
    Refused
        The role or the agreement does not allow it.
    """
    return _open(actor, patient_id, reference, purpose, clock)


@atomic_service
def _open(actor: Actor, patient_id: UUID, reference: str, purpose: Purpose, clock: Clock) -> PatientExport:
    # The agreement first, of nobody in particular: without one, who is there and who is not get the same answer.
    decision, subject = _ask(actor, None, purpose, clock)
    if not decision.allowed:
        raise Refused(decision, actor=actor, subject=subject)
    require_permission(actor, AdminPermission.PRIVACY_MANAGE)
    patient = Patient.objects.filter(pk=patient_id).first()
    studies = [] if patient is None else list(Study.objects.filter(patient=patient).order_by("received_at", "pk"))
    is_outside = actor.institutions is not None and any(one.institution_id not in actor.institutions for one in studies)
    if patient is None or is_outside:
        raise NotFoundError
    decision, subject = _ask(actor, patient, purpose, clock)
    if not decision.allowed:
        raise Refused(decision, actor=actor, subject=subject)
    export_id = new_uuid()
    files: list[_File] = []
    facts = [_study_facts(number, study, files) for number, study in enumerate(studies, start=1)]
    who = PatientFacts(
        id=patient.pk, number=patient.patient_id, issuer=patient.issuer_of_patient_id, name=patient.name,
        birth_date=patient.birth_date, sex=patient.sex,
    )  # fmt: skip
    detail = {
        "export_id": str(export_id),
        "studies": str(len(studies)),
        "files": str(len(files)),
        "reference": reference[:64],
    }
    entry = Entry(kind_of("patient.exported"), "patient.exported", decision=decision, subject=subject, detail=detail)
    record(actor=actor, entry=entry, clock=clock)
    return PatientExport(
        id=export_id,
        files=files,
        bundle=make_bundle(who, facts, at=clock.now()),
        events=_events(actor, patient.pseudonym),
        readme=_README.format(
            organisation=get_tenant().name, export=export_id, at=clock.now().isoformat(timespec="seconds"),
            reference=reference or "none", studies=len(studies), files=len(files),
        ),
    )  # fmt: skip


def _ask(actor: Actor, patient: Patient | None, purpose: Purpose, clock: Clock) -> tuple[Decision, Subject]:
    """Ask whether the platform may hand this out: who administers the request sees nothing of it by that."""
    subject = Subject(
        tenant_id=actor.tenant_id,
        category=DataCategory.PIXEL_DATA,
        patient_pseudonym=patient.pseudonym if patient else None,
        is_restricted=patient is not None and patient.restricted_at is not None,
    )
    platform = system_actor(actor.tenant_id, correlation_id=actor.correlation_id)
    return decide(actor=platform, activity=Activity.EXPORT, subject=subject, purpose=purpose, clock=clock), subject


def _study_facts(number: int, study: Study, files: list[_File]) -> StudyFacts:
    told: list[SeriesFacts] = []
    rows = Series.objects.filter(study=study).order_by("series_number", "pk")
    for series_number, series in enumerate(rows, start=1):
        instances = list(Instance.objects.filter(series=series).order_by("instance_number", "sop_instance_uid"))
        for place, row in enumerate(instances, start=1):
            files.append(_File(file_id(number, series_number, place), stored_ref(row, row.tenant_id)))
        told.append(
            SeriesFacts(
                uid=series.series_instance_uid, modality=series.modality, number=series.series_number,
                description=series.description, body_part=series.body_part_examined,
                instances=[(row.sop_class_uid, row.sop_instance_uid) for row in instances],
            )
        )  # fmt: skip
    return StudyFacts(
        id=study.pk, uid=study.study_instance_uid, accession_number=study.accession_number,
        description=study.description, started=study.study_date, series=told, analyses=_analyses(study),
    )  # fmt: skip


def _analyses(study: Study) -> list[AnalysisFacts]:
    found = []
    for analysis in Analysis.objects.filter(study=study, state=State.DONE).order_by("created_at", "pk"):
        findings = [
            FindingFacts(
                id=one.pk, label=one.label, concept=one.concept, measurements=one.measurements, review=one.review
            )
            for one in Finding.objects.filter(analysis=analysis).order_by("number")
        ]
        found.append(
            AnalysisFacts(
                id=analysis.pk, model=analysis.model, version=analysis.version, weights_sha256=analysis.weights_sha256,
                finished_at=analysis.finished_at, review=sum_up([ReviewState(one.review) for one in findings]),
                findings=findings,
            )
        )  # fmt: skip
    return found


def _events(actor: Actor, pseudonym: UUID) -> list[bytes]:
    """Return the audit trail's lines about a patient: who did what with their data."""
    try:
        ledger = open_ledger(actor.tenant_id, actor_id=actor.id)
    except LedgerEmptyError:
        return []
    lines = []
    for line, _ in ledger.iter_events(LedgerFilter(patient=pseudonym)):
        lines.append(bytes(line))
        if len(lines) == _MOST_EVENTS:
            break
    return lines


class _Pipe(RawIOBase):
    """Where the ZIP is written to: what was written is taken out piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self.held = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self.held += len(piece)
        return len(piece)

    def take(self) -> bytes:
        taken, self._pieces, self.held = b"".join(self._pieces), [], 0
        return taken


def stream_zip(export: PatientExport, progress: Callable[[int], None] = lambda _done: None) -> Iterator[bytes]:
    """Yield a ZIP of an opened export: DICOM files with their DICOMDIR, a FHIR bundle, the audit trail, a README.

    Holds one chunk of one file in memory. Raises what the vault raises where a file cannot be read: the ZIP then ends
    without its directory, and no program takes it for whole.
    """
    pipe, directory, done, left_out = _Pipe(), Dicomdir(), 0, 0
    vault = get_vault()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("README.txt", export.readme)
        archive.writestr("fhir/bundle.json", json.dumps(export.bundle, indent=1, ensure_ascii=False))
        archive.writestr("audit/events.ndjson", b"".join(line + b"\n" for line in export.events))
        for file in export.files:
            with vault.open(file.ref) as reader:
                left_out += not _add_record(directory, reader, file)
                with archive.open("/".join(file.where), "w", force_zip64=True) as entry:
                    for chunk in reader.iter_chunks():
                        entry.write(chunk)
                        done += len(chunk)
                        progress(done)
                        if pipe.held >= _CHUNK:
                            yield pipe.take()
        archive.writestr("DICOMDIR", directory.to_bytes())
        if left_out:
            archive.writestr(
                "NOT-IN-DICOMDIR.txt", f"{left_out} files are of kinds that a DICOMDIR has no record for.\n"
            )
    yield pipe.take()


class _Sealed(RawIOBase):
    """A sealed object as a stream, of which the header alone is read."""

    def __init__(self, reader: SealedReader) -> None:
        super().__init__()
        self._reader = reader
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # of what io hands over
        data = self._reader.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        base = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._reader.size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at


def _add_record(directory: Dicomdir, reader: SealedReader, file: _File) -> bool:
    try:
        header = read_header(BufferedReader(_Sealed(reader), _READ_AHEAD))
    except ImagingError:
        return False
    return directory.add(header, file.where)


def export_tenant(
    *, folder: Path, progress: Callable[[str], None] = lambda _sentence: None, clock: Clock = SYSTEM_CLOCK
) -> tuple[int, int]:
    """Write all that is kept in the scope's tenant into a folder, one ZIP a patient; what is there whole is left.

    Returns how many patients there are and how many were written now. A patient who is erased meanwhile is left out.
    """
    actor = current_scope().actor
    with unit_of_work():
        require_permission(actor, AdminPermission.PRIVACY_MANAGE)
        patients = list(Patient.objects.order_by("pk").values_list("pk", flat=True))
        entry = Entry(kind_of("tenant.exported"), "tenant.exported", detail={"patients": str(len(patients))})
        record(actor=actor, entry=entry, clock=clock)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = 0
    for number, patient_id in enumerate(patients, start=1):
        path = folder / f"{patient_id}.zip"
        if path.exists():
            continue
        try:
            with tenant_scope(actor):
                opened = open_patient_export(
                    actor=actor,
                    patient_id=patient_id,
                    reference="return of all data",
                    purpose=Purpose.OPERATIONS,
                    clock=clock,
                )
        except NotFoundError:
            continue
        write_file(path, stream_zip(opened))
        written += 1
        progress(f"{number} of {len(patients)} patients")
    return len(patients), written


def write_file(path: Path, pieces: Iterator[bytes]) -> int:
    """Write pieces to a file that has its name when it is whole; returns its size."""
    draft = path.with_name(f".{path.name}.part")
    size = 0
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in pieces:
            file.write(piece)
            size += len(piece)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return size


_README: Final = """Copy of the data that {organisation} keeps about you in Gantry
================================================================

Export:     {export}
Made:       {at}
Reference:  {reference}
Holds:      {studies} imaging studies, {files} DICOM files

DICOMDIR and IMAGES/   your images and what was made of them, in the format that every hospital reads (DICOM PS3.10).
                       Most viewers open the folder, or the file DICOMDIR.
fhir/bundle.json       the same as a list, and what programs (AI) found, with whether a person reviewed it (HL7 FHIR R4).
                       A result that says "preliminary" was reviewed by nobody. None of it is a diagnosis by itself.
audit/events.ndjson    who did what with these data and when, one event a line. People stand in it by number; the
                       organisation tells you on request who they are. A copy with proofs is made by the compliance officer.
"""

"""A patient's record as a FHIR R4 bundle: who, which imaging studies, what AI found in them, and whether it was reviewed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

_DICOM_UID: Final = "urn:dicom:uid"
_GENDERS: Final = {"M": "male", "F": "female", "O": "other"}
_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_SYSTEMS: Final = {"SCT": "http://snomed.info/sct", "DCM": _DCM, "UCUM": "http://unitsofmeasure.org"}
#: FHIR says how far a report is; what nobody reviewed is preliminary, what somebody rejected was entered in error.
_STATUS: Final = {"accepted": "final", "rejected": "entered-in-error"}


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """A series, as the bundle tells of it."""

    uid: str
    modality: str
    number: int | None
    description: str
    body_part: str
    instances: Sequence[tuple[str, str]]
    """SOP class and SOP instance UID."""


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """A finding of AI with its review."""

    id: UUID
    label: str
    concept: Mapping[str, str]
    measurements: Sequence[Mapping[str, Any]]
    review: str


@dataclass(frozen=True, slots=True)
class AnalysisFacts:
    """A result of AI."""

    id: UUID
    model: str
    version: str
    weights_sha256: str
    finished_at: datetime | None
    review: str
    findings: Sequence[FindingFacts]


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """A study with its series and results."""

    id: UUID
    uid: str
    accession_number: str
    description: str
    started: date | None
    series: Sequence[SeriesFacts] = field(default_factory=tuple)
    analyses: Sequence[AnalysisFacts] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """Whose record it is."""

    id: UUID
    number: str
    issuer: str
    name: str
    birth_date: date | None
    sex: str


def make_bundle(patient: PatientFacts, studies: Iterable[StudyFacts], *, at: datetime) -> dict[str, Any]:
    """Return a collection bundle (FHIR R4): Patient, ImagingStudy, DiagnosticReport, Observation."""
    resources = [_patient(patient)]
    for study in studies:
        resources.append(_study(patient, study))
        for analysis in study.analyses:
            observations = [_observation(patient, study, one) for one in analysis.findings]
            resources += [_report(patient, study, analysis), *observations]
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources]
    return {"resourceType": "Bundle", "type": "collection", "timestamp": at.isoformat(), "entry": entries}


def _refer(kind: str, one: UUID) -> dict[str, str]:
    return {"reference": f"urn:uuid:{one}", "type": kind}


def _full(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource without what is empty: FHIR allows no empty values."""
    return {key: value for key, value in resource.items() if value not in (None, "", [], {})}


def _patient(patient: PatientFacts) -> dict[str, Any]:
    alphabetic = patient.name.split("=", 1)[0]
    family, *given = alphabetic.split("^")
    issuer = {"display": patient.issuer} if patient.issuer else None
    name = _full(
        {"text": " ".join(filter(None, [*given, family])), "family": family, "given": [one for one in given if one]}
    )
    return _full(
        {
            "resourceType": "Patient",
            "id": str(patient.id),
            "identifier": [_full({"value": patient.number, "assigner": issuer})] if patient.number else [],
            "name": [name] if name else [],
            "gender": _GENDERS.get(patient.sex, "unknown"),
            "birthDate": patient.birth_date.isoformat() if patient.birth_date else "",
        }
    )


def _study(patient: PatientFacts, study: StudyFacts) -> dict[str, Any]:
    series = [
        _full(
            {
                "uid": one.uid,
                "number": one.number if one.number is not None and one.number >= 0 else None,
                "modality": {"system": _DCM, "code": one.modality or "OT"},
                "description": one.description,
                "numberOfInstances": len(one.instances),
                "bodySite": {"display": one.body_part} if one.body_part else None,
                "instance": [
                    {"uid": uid, "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{sop_class}"}}
                    for sop_class, uid in one.instances
                ],
            }
        )
        for one in study.series
    ]
    return _full(
        {
            "resourceType": "ImagingStudy",
            "id": str(study.id),
            "identifier": [{"system": _DICOM_UID, "value": f"urn:oid:{study.uid}"}]
            + (
                [{"type": {"text": "Accession number"}, "value": study.accession_number}]
                if study.accession_number
                else []
            ),
            "status": "available",
            "subject": _refer("Patient", patient.id),
            "started": study.started.isoformat() if study.started else "",
            "description": study.description,
            "numberOfSeries": len(series),
            "numberOfInstances": sum(len(one.instances) for one in study.series),
            "series": series,
        }
    )


def _report(patient: PatientFacts, study: StudyFacts, analysis: AnalysisFacts) -> dict[str, Any]:
    return _full(
        {
            "resourceType": "DiagnosticReport",
            "id": str(analysis.id),
            "status": _STATUS.get(analysis.review, "preliminary"),
            "category": [{"text": "Result of AI"}],
            "code": {"text": f"{analysis.model} {analysis.version}"},
            "subject": _refer("Patient", patient.id),
            "issued": analysis.finished_at.isoformat() if analysis.finished_at else "",
            "imagingStudy": [_refer("ImagingStudy", study.id)],
            "result": [_refer("Observation", one.id) for one in analysis.findings],
            "conclusion": (
                f"Made by the model {analysis.model} {analysis.version} (weights SHA-256 {analysis.weights_sha256}). "
                f"Review by a person: {analysis.review}."
            ),
        }
    )


def _observation(patient: PatientFacts, study: StudyFacts, finding: FindingFacts) -> dict[str, Any]:
    components = [
        {
            "code": {"text": str(one["name"])},
            "valueQuantity": {
                "value": one["value"],
                "unit": str(one.get("unit_display", one["unit"])),
                "system": _SYSTEMS["UCUM"],
                "code": str(one["unit"]),
            },
        }
        for one in finding.measurements
    ]
    coding = _full(
        {
            "system": _SYSTEMS.get(str(finding.concept.get("scheme", "")), ""),
            "code": finding.concept.get("value", ""),
            "display": finding.concept.get("meaning", ""),
        }
    )
    return _full(
        {
            "resourceType": "Observation",
            "id": str(finding.id),
            "status": _STATUS.get(finding.review, "preliminary"),
            "code": {"coding": [coding], "text": finding.label},
            "subject": _refer("Patient", patient.id),
            "derivedFrom": [_refer("ImagingStudy", study.id)],
            "component": components,
        }
    )

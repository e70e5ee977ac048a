"""Identifiers: distinct types over UUID, so that a study's id is not passed for a tenant's."""

from __future__ import annotations

from typing import NewType
from uuid import UUID, uuid4

TenantId = NewType("TenantId", UUID)
ActorId = NewType("ActorId", UUID)
InstitutionId = NewType("InstitutionId", UUID)
PatientKeyId = NewType("PatientKeyId", UUID)
StudyId = NewType("StudyId", UUID)
SeriesId = NewType("SeriesId", UUID)
InstanceId = NewType("InstanceId", UUID)
AnalysisId = NewType("AnalysisId", UUID)
FindingId = NewType("FindingId", UUID)
AgreementId = NewType("AgreementId", UUID)


def new_uuid() -> UUID:
    """Return a random UUID: a primary key that says nothing about volume or order."""
    return uuid4()

"""REST of portability: a patient's data as one download."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from gantry.oversight.portability.services import open_patient_export, stream_zip
from gantry.tenancy.public import TenantAPIView


class ExportQuery(serializers.Serializer[Any]):
    """What the export is for."""

    reference = serializers.CharField(max_length=64, required=False, default="")


class SubjectExportView(TenantAPIView):
    @extend_schema(
        operation_id="export_subject",
        parameters=[ExportQuery],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, tenant: str, subject_id: UUID) -> StreamingHttpResponse:
        """Hand out all that is kept of a patient: DICOM with DICOMDIR, FHIR, audit trail; decided and recorded first."""
        query = ExportQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        opened = open_patient_export(
            actor=self.actor, patient_id=subject_id, reference=query.validated_data["reference"]
        )
        answer = StreamingHttpResponse(_in_threads(stream_zip(opened)), content_type="application/zip")
        answer["Content-Disposition"] = f'attachment; filename="export-{opened.id}.zip"'
        answer["Cache-Control"] = "no-store"
        return answer


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield pieces as they are read, without holding the event loop up: a plain iterator would be gathered whole."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece

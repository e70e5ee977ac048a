"""REST of the audit trail: exports, who saw a patient, to whom results of AI were shown, checkpoints."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.audit.public import ACTIONS, Kind, Outcome
from gantry.foundation.threads import in_thread
from gantry.foundation.web.input import StrictSerializer, page_of, validated
from gantry.kernel.vocabulary import Activity, Purpose, Role, Scope
from gantry.oversight.exports.domain import ExportQuery, Format
from gantry.oversight.exports.feeding import get_feed, set_feed, stop_feed
from gantry.oversight.exports.services import (
    OpenedBundle,
    cancel_export,
    get_export,
    list_exports,
    open_bundle,
    open_checkpoint,
    parse_formats,
    request_export,
    requesters_of,
    require_reader,
)
from gantry.oversight.exports.tracing import Presentation, Trace, list_presentations, trace_patient
from gantry.oversight.models import AuditExport
from gantry.studies.public import find_pseudonyms, find_study_id
from gantry.tenancy.public import TenantAPIView

_SCOPES: Final = frozenset({Scope.AUDIT_READ})
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d*)")


class TimeInput(StrictSerializer):
    """A time, which every question to the trail names."""

    since = serializers.DateTimeField(help_text="From this moment on.")
    until = serializers.DateTimeField(help_text="Before this moment.")


class ExportInput(TimeInput):
    """What of the trail is wanted: the search parameters of ITI-81, and in which formats."""

    formats = serializers.ListField(
        child=serializers.ChoiceField([one.value for one in Format]), required=False, default=list, max_length=8,
        help_text="All, where none is named.",
    )  # fmt: skip
    patient_id = serializers.CharField(max_length=128, required=False, default="", help_text="The patient's number.")
    issuer = serializers.CharField(max_length=128, required=False, default="", allow_blank=True)
    pseudonym = serializers.UUIDField(required=False, default=None, help_text="The patient, as the trail names them.")
    user_id = serializers.UUIDField(required=False, default=None)
    role = serializers.ChoiceField([one.value for one in Role], required=False, default="")
    study_id = serializers.UUIDField(required=False, default=None)
    study_instance_uid = serializers.RegexField(r"^[0-9.]{1,64}$", required=False, default="")
    activity = serializers.ChoiceField([one.value for one in Activity], required=False, default="")
    kinds = serializers.ListField(
        child=serializers.ChoiceField([one.value for one in Kind]), required=False, default=list, max_length=20
    )
    actions = serializers.ListField(
        child=serializers.ChoiceField(sorted(ACTIONS)), required=False, default=list, max_length=50
    )
    outcomes = serializers.ListField(
        child=serializers.ChoiceField([one.value for one in Outcome]), required=False, default=list, max_length=3
    )
    purpose = serializers.ChoiceField([one.value for one in Purpose], required=False, default="")
    address = serializers.IPAddressField(required=False, default="", help_text="The network address it came from.")
    break_glass = serializers.BooleanField(required=False, default=False, help_text="Emergency access alone.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["break_glass"] and attrs["purpose"] not in {"", Purpose.EMERGENCY}:
            raise serializers.ValidationError({"purpose": ["Emergency access has one purpose."]})
        if sum(bool(attrs[name]) for name in ("patient_id", "pseudonym")) > 1:
            raise serializers.ValidationError({"pseudonym": ["Name the patient in one way."]})
        return attrs


class TraceInput(TimeInput):
    """Whom it is about."""

    patient_id = serializers.CharField(max_length=128, required=False, default="")
    issuer = serializers.CharField(max_length=128, required=False, default="", allow_blank=True)
    pseudonym = serializers.UUIDField(required=False, default=None)


def export_query(wanted: dict[str, Any]) -> ExportQuery:
    """Return the query of a request; looks ids up in the scope's tenant."""
    pseudonym, study_id = wanted["pseudonym"], wanted["study_id"]
    if wanted["patient_id"]:
        found = find_pseudonyms(patient_id=wanted["patient_id"], issuer=wanted["issuer"])
        if len(found) != 1:
            word = "No patient has" if not found else f"{len(found)} patients have"
            raise serializers.ValidationError({"patient_id": [f"{word} this number: name the issuer, or a pseudonym."]})
        pseudonym = found[0]
    if wanted["study_instance_uid"]:
        study_id = find_study_id(wanted["study_instance_uid"])
        if study_id is None:
            raise serializers.ValidationError({"study_instance_uid": ["There is no such study: name it by its id."]})
    return ExportQuery(
        since=wanted["since"], until=wanted["until"], patient=pseudonym, actor_id=wanted["user_id"], role=wanted["role"],
        study_id=study_id, activity=wanted["activity"], address=wanted["address"],
        purpose=Purpose.EMERGENCY.value if wanted["break_glass"] else wanted["purpose"],
        kinds=frozenset(map(Kind, wanted["kinds"])), actions=frozenset(wanted["actions"]),
        outcomes=frozenset(map(Outcome, wanted["outcomes"])),
    )  # fmt: skip


class ExportsView(TenantAPIView):
    scopes = _SCOPES

    @extend_schema(operation_id="list_audit_exports", responses=OpenApiTypes.OBJECT, parameters=[
        OpenApiParameter("page", int), OpenApiParameter("page_size", int)])  # fmt: skip
    def get(self, request: Request, tenant: str) -> Response:
        """List the exports of the audit trail, newest first."""
        offset, limit = page_of(request)
        count, exports = list_exports(actor=self.actor, offset=offset, limit=limit)
        names = requesters_of(exports)
        return Response({"count": count, "results": [export_row(one, tenant, names) for one in exports]})

    @extend_schema(operation_id="request_audit_export", request=ExportInput, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str) -> Response:
        """Ask for an export of the audit trail. A worker writes it; it is itself in the trail."""
        require_reader(self.actor)
        wanted = validated(ExportInput, request)
        export = request_export(
            actor=self.actor, query=export_query(wanted), formats=parse_formats(list(wanted["formats"]))
        )
        response = Response(export_row(export, tenant, {}), status=202)
        response["Location"] = f"/t/{tenant}/api/v1/audit/exports/{export.pk}"
        return response


class ExportView(TenantAPIView):
    scopes = _SCOPES

    @extend_schema(operation_id="get_audit_export", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, export_id: UUID) -> Response:
        """Say how far an export is."""
        export = get_export(actor=self.actor, export_id=export_id)
        return Response(export_row(export, tenant, requesters_of([export])))

    @extend_schema(operation_id="cancel_audit_export", responses=OpenApiTypes.OBJECT)
    def delete(self, request: Request, tenant: str, export_id: UUID) -> Response:
        """Cancel an export that is not finished."""
        return Response(export_row(cancel_export(actor=self.actor, export_id=export_id), tenant, {}))


class BundleView(TenantAPIView):
    scopes = _SCOPES

    @extend_schema(
        operation_id="download_audit_export",
        responses={(200, "application/zip"): OpenApiTypes.BINARY, (206, "application/zip"): OpenApiTypes.BINARY,
                   416: OpenApiResponse(description="There are no such bytes.")},
        parameters=[
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One range: bytes=FIRST-LAST"),
            OpenApiParameter("If-Range", str, OpenApiParameter.HEADER),
        ],
    )  # fmt: skip
    def get(self, request: Request, tenant: str, export_id: UUID) -> HttpResponseBase:
        """Download a finished bundle. A download that broke off goes on with `Range` and `If-Range`."""
        wanted = _RANGE.fullmatch(request.headers.get("Range", "").strip())
        bundle = open_bundle(actor=self.actor, export_id=export_id)
        etag, size = f'"{bundle.etag}"', bundle.ref.size_bytes
        first, last = 0, size - 1
        if wanted is not None and request.headers.get("If-Range", etag) == etag:
            first, last = int(wanted[1]), min(int(wanted[2]) if wanted[2] else size - 1, size - 1)
            if first > last:
                refused = HttpResponse(status=416)
                refused["Content-Range"] = f"bytes */{size}"
                return refused
        else:
            wanted = None
        response = StreamingHttpResponse(_stream(bundle, first, last - first + 1), content_type="application/zip")
        response.status_code = 200 if wanted is None else 206
        if wanted is not None:
            response["Content-Range"] = f"bytes {first}-{last}/{size}"
        response["Content-Length"] = str(last - first + 1)
        response["Content-Disposition"] = f'attachment; filename="{bundle.name}"'
        response["Accept-Ranges"], response["ETag"] = "bytes", etag
        response["Cache-Control"] = "private, no-store"
        return response


async def _stream(bundle: OpenedBundle, offset: int, length: int) -> AsyncIterator[bytes]:
    """Read a bundle in threads, verified piece by piece."""
    context = bundle.reading()
    reader = await in_thread(context.__enter__)
    try:
        pieces: Iterator[bytes] = reader.iter_chunks(offset, length)
        while (piece := await in_thread(next, pieces, None)) is not None:
            yield piece
    finally:
        reader.close()


class WhoSawView(TenantAPIView):
    scopes = _SCOPES

    @extend_schema(operation_id="who_saw_patient", request=TraceInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """Say who saw a patient's data in a time. By POST, so that the patient is in no address."""
        require_reader(self.actor)
        wanted = validated(TraceInput, request)
        traces = trace_patient(actor=self.actor, **wanted)
        return Response({"patients": [trace_row(one) for one in traces]})


class PresentationsView(TenantAPIView):
    scopes = _SCOPES

    @extend_schema(operation_id="list_presentations", responses=OpenApiTypes.OBJECT, parameters=[
        OpenApiParameter("analysis", OpenApiTypes.UUID)])  # fmt: skip
    def get(self, request: Request, tenant: str, study_id: UUID) -> Response:
        """Say since when a study's results of AI are there, to whom they were shown, and who acted on them."""
        require_reader(self.actor)
        asked = request.query_params.get("analysis")
        analysis = serializers.UUIDField().run_validation(asked) if asked else None
        found = list_presentations(actor=self.actor, study_id=study_id, analysis_id=analysis)
        return Response({"study_id": str(study_id), "results": [presentation_row(one) for one in found]})


class CheckpointView(TenantAPIView):
    scopes = _SCOPES

    @extend_schema(operation_id="get_audit_checkpoint", responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request, tenant: str) -> HttpResponse:
        """Return the newest signed checkpoint of the trail: keep it, and no one can change the past unnoticed."""
        note = open_checkpoint(actor=self.actor)
        return HttpResponse(note, content_type="text/plain; charset=utf-8")


class FeedInput(StrictSerializer):
    """Where a tenant's events are sent, and the certificates of both sides (PEM)."""

    host = serializers.RegexField(r"^[A-Za-z0-9.:-]{1,253}$")
    port = serializers.IntegerField(min_value=1, max_value=65535, required=False, default=6514)
    authorities_pem = serializers.CharField(max_length=100_000)
    certificate_pem = serializers.CharField(max_length=100_000, required=False, default="")
    private_key_pem = serializers.CharField(max_length=20_000, required=False, default="", write_only=True)


class FeedView(TenantAPIView):
    scopes = _SCOPES

    @extend_schema(operation_id="get_audit_feed", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """Say where events are sent (ATNA: syslog over TLS), and how far that is."""
        return Response(self._card())

    @extend_schema(operation_id="set_audit_feed", request=FeedInput, responses=OpenApiTypes.OBJECT)
    def put(self, request: Request, tenant: str) -> Response:
        """Have events sent to the organisation's own audit repository."""
        require_reader(self.actor)
        wanted = validated(FeedInput, request)
        wanted["private_key_pem"] = wanted["private_key_pem"].encode()
        set_feed(actor=self.actor, **wanted)
        return Response(self._card())

    @extend_schema(operation_id="stop_audit_feed", responses={204: None})
    def delete(self, request: Request, tenant: str) -> Response:
        """Send no more events; the position is kept."""
        stop_feed(actor=self.actor)
        return Response(status=204)

    def _card(self) -> dict[str, Any]:
        card = get_feed(actor=self.actor)
        return {"feed": card.to_row() if card else None}


def export_row(export: AuditExport, tenant: str, names: dict[UUID, str]) -> dict[str, Any]:
    """Return an export as clients see it."""
    base = f"/t/{tenant}/api/v1/audit/exports/{export.pk}"
    is_done = export.state == "done"
    return {
        "id": str(export.pk),
        "state": export.state,
        "requested_by": {"id": str(export.requested_by), "name": names.get(export.requested_by, "")},
        "query": export.query,
        "formats": export.formats,
        "created_at": export.created_at,
        "started_at": export.started_at,
        "finished_at": export.finished_at,
        "expires_at": export.expires_at,
        "progress": {"events": export.events_done, "of": export.events_total},
        "counts": export.counts,
        "tree_size": export.tree_size,
        "code": export.code,
        "sentence": export.sentence,
        "bundle": {"url": f"{base}/bundle", "bytes": export.size_bytes, "sha256": export.sha256} if is_done else None,
    }


def trace_row(trace: Trace) -> dict[str, Any]:
    """Return who saw a patient, as clients see it."""
    return {
        "pseudonym": str(trace.pseudonym),
        "patient": {"id": trace.patient_id, "issuer": trace.issuer, "name": trace.patient_name},
        "as_of": {"log_size": trace.log_size, "signed_at": _text(trace.signed_at)},
        "is_cut": trace.is_cut,
        "people": [asdict(one) for one in trace.people],
    }


def presentation_row(one: Presentation) -> dict[str, Any]:
    """Return a result's presentation, as clients see it."""
    return asdict(one)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None

"""REST of agreements: drafting, signing, steps, documents, and questions."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.agreements import asking, services
from gantry.agreements.api.rows import answer_row, change_row, file_row, notice_row, shift_row, version_row
from gantry.agreements.calendar import ISTANBUL
from gantry.agreements.content import Content, Party, content_to_json
from gantry.agreements.domain import Disposition, Side, Step
from gantry.agreements.drafting import TEMPLATES, content_from_template, parse_content, template_titles
from gantry.agreements.errors import WrongDocumentError
from gantry.agreements.papers import MAX_PAPER_BYTES
from gantry.foundation.documents import to_pdf
from gantry.foundation.web.input import PageQuery, StrictSerializer, page_of, validated
from gantry.identity.public import confirm_identity
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import Activity, DataCategory, GrantKind, Place, Purpose, Role
from gantry.tenancy.public import TenantAPIView

_VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_HASH = r"^[0-9a-f]{64}$"
#: Steps that a person takes; the others follow from signatures and from time.
_STEPS = (Step.SUSPEND, Step.RESUME, Step.TERMINATE, Step.WITHDRAW)


def _choices(words: Any) -> list[str]:
    return [word.value for word in words]


class PartyInput(StrictSerializer):
    """One side of the agreement."""

    name = serializers.CharField(max_length=200)
    address = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    contact = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class DraftInput(StrictSerializer):
    """A new version: from a template and the parties' names, or with content of one's own."""

    version = serializers.RegexField(_VERSION)
    template = serializers.ChoiceField(TEMPLATES, required=False)
    controller = PartyInput(required=False)
    processor = PartyInput(required=False)
    regions = serializers.ListField(
        child=serializers.RegexField(r"^[a-z0-9-]{1,32}$"), max_length=50, required=False, default=list
    )
    sub_processors = serializers.ListField(child=serializers.JSONField(), max_length=100, required=False, default=list)
    content = serializers.JSONField(required=False)


class EditInput(StrictSerializer):
    """A draft as it is to be."""

    content = serializers.JSONField()


class SignatureInput(StrictSerializer):
    """A signature: who signs, what they are, which document, and their password again."""

    name = serializers.CharField(max_length=200)
    function = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    document_sha256 = serializers.RegexField(_HASH)
    password = serializers.CharField(max_length=256, trim_whitespace=False, style={"input_type": "password"})


class PaperInput(SignatureInput):
    """A signature that was made on paper."""

    paper = serializers.FileField(max_length=200, allow_empty_file=False)


class StepInput(StrictSerializer):
    """A step of a version's life that a person takes."""

    step = serializers.ChoiceField(_choices(_STEPS))
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    disposition = serializers.ChoiceField(_choices(Disposition), required=False, allow_null=True, default=None)


class AmendmentInput(StrictSerializer):
    """The name of a new version."""

    version = serializers.RegexField(_VERSION)


class DispositionInput(StrictSerializer):
    """What becomes of the data at the end."""

    disposition = serializers.ChoiceField(_choices(Disposition))


class TransferNoticeInput(StrictSerializer):
    """That the authority was notified of a standard contract."""

    given_on = serializers.DateField()
    reference = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")


class QuestionInput(StrictSerializer):
    """An act that nobody has done."""

    role = serializers.ChoiceField(_choices(Role))
    activity = serializers.ChoiceField(_choices(Activity))
    category = serializers.ChoiceField(_choices(DataCategory))
    purpose = serializers.ChoiceField(_choices(Purpose), required=False, default=Purpose.TREATMENT.value)
    place = serializers.ChoiceField(_choices(Place), required=False, default=Place.SITE.value)
    processor = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    granted_by = serializers.ChoiceField(_choices(GrantKind), required=False, allow_null=True, default=None)
    actor_institution = serializers.UUIDField(required=False, allow_null=True, default=None)
    institution = serializers.UUIDField(required=False, allow_null=True, default=None)
    agreement_id = serializers.UUIDField(required=False, allow_null=True, default=None)


class AgreementsView(TenantAPIView):
    @extend_schema(operation_id="list_agreements", parameters=[PageQuery], responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the versions of the agreement, newest first."""
        offset, limit = page_of(request)
        count, rows = services.list_versions(actor=self.actor, offset=offset, limit=limit)
        return Response({"count": count, "results": [version_row(row) for row in rows]})

    @extend_schema(operation_id="draft_agreement", request=DraftInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str) -> Response:
        """Draft a version. It permits nothing until both sides have signed it."""
        wanted = validated(DraftInput, request)
        row = services.draft_agreement(actor=self.actor, version=wanted["version"], content=_content_of(wanted))
        return self.file(row.pk, status=201)

    def file(self, agreement_id: UUID, *, status: int = 200) -> Response:
        """Answer with a version and its ETag."""
        return _file(self, agreement_id, status=status)


class TemplatesView(TenantAPIView):
    @extend_schema(operation_id="list_agreement_templates", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str) -> Response:
        """List the templates that a version can be drafted from."""
        services.require_may_manage(self.actor)
        rows = [{"name": name, "title": title, "law": law} for name, (title, law) in template_titles().items()]
        return Response({"count": len(rows), "results": rows})


class AgreementView(TenantAPIView):
    @extend_schema(operation_id="get_agreement", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Return one version with content, signatures, steps and notices; its ETag is what an edit must name."""
        return _file(self, agreement_id)

    @extend_schema(
        operation_id="edit_agreement",
        request=EditInput,
        responses=OpenApiTypes.OBJECT,
        parameters=[OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, required=True)],
    )
    def put(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Write a draft again; `If-Match` names the ETag that the change was made from."""
        services.require_may_manage(self.actor)
        revision = _revision(request.headers.get("If-Match", ""))
        content = parse_content(validated(EditInput, request)["content"])
        services.edit_agreement(
            actor=self.actor, agreement_id=AgreementId(agreement_id), revision=revision, content=content
        )
        return _file(self, agreement_id)


class ReviewView(TenantAPIView):
    @extend_schema(operation_id="review_agreement", request=None, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Declare a draft ready to be signed: from here on nothing in it changes."""
        services.review_agreement(actor=self.actor, agreement_id=AgreementId(agreement_id))
        return _file(self, agreement_id)


class AmendmentsView(TenantAPIView):
    @extend_schema(operation_id="amend_agreement", request=AmendmentInput, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Draft a new version from this one, which stays as it is until the new one takes its place."""
        wanted = validated(AmendmentInput, request)
        row = services.amend_agreement(
            actor=self.actor, agreement_id=AgreementId(agreement_id), version=wanted["version"]
        )
        return _file(self, row.pk, status=201)


class SignatureView(TenantAPIView):
    @extend_schema(operation_id="sign_agreement", request=SignatureInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Sign for the organisation, with the password again. The other side is signed by the platform's operator."""
        wanted = validated(SignatureInput, request)
        self.confirm(agreement_id, wanted)
        services.sign_agreement(
            actor=self.actor,
            agreement_id=AgreementId(agreement_id),
            side=Side.CONTROLLER,
            signatory=services.Signatory(wanted["name"], wanted["function"]),
            document_sha256=wanted["document_sha256"],
        )
        return _file(self, agreement_id)

    def confirm(self, agreement_id: UUID, wanted: dict[str, Any]) -> None:
        """Make sure that this may be signed by this actor at all, and then that it is they."""
        services.require_can_sign(self.actor, Side.CONTROLLER)
        file = services.open_version(actor=self.actor, agreement_id=AgreementId(agreement_id))
        if file.agreement.document_sha256 != wanted["document_sha256"]:
            raise WrongDocumentError("The hash you sent is of another document. Read this version again and sign that.")
        assert self.actor.user_id is not None  # a person: `require_can_sign`
        confirm_identity(user_id=self.actor.user_id, password=wanted["password"], address=self.actor.address)


class PaperView(SignatureView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="sign_agreement_on_paper",
        request={"multipart/form-data": PaperInput},
        responses=OpenApiTypes.OBJECT,
    )
    def post(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Record a signature made on paper, with the signed paper as a PDF of at most 2.5 MB."""
        services.require_can_sign(self.actor, Side.CONTROLLER)
        wanted = validated(PaperInput, request)
        self.confirm(agreement_id, wanted)
        services.sign_on_paper(
            actor=self.actor,
            agreement_id=AgreementId(agreement_id),
            side=Side.CONTROLLER,
            signatory=services.Signatory(wanted["name"], wanted["function"]),
            document_sha256=wanted["document_sha256"],
            paper=wanted["paper"].read(MAX_PAPER_BYTES + 1),
        )
        return _file(self, agreement_id)


class SignedPaperView(TenantAPIView):
    @extend_schema(operation_id="get_signed_paper", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, tenant: str, agreement_id: UUID, side: str) -> HttpResponse:
        """Download a signed paper as it was uploaded; a browser is told not to show it."""
        if side not in set(Side):
            raise NotFoundError
        wanted = Side(side)
        data = services.open_paper(actor=self.actor, agreement_id=AgreementId(agreement_id), side=wanted)
        return _download(data, "application/pdf", f"signed-{wanted.value}.pdf")


class StepsView(TenantAPIView):
    @extend_schema(operation_id="advance_agreement", request=StepInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Suspend, resume, terminate or withdraw a version. What is open ends within five seconds."""
        wanted = validated(StepInput, request)
        services.advance_agreement(
            actor=self.actor,
            agreement_id=AgreementId(agreement_id),
            step=Step(wanted["step"]),
            reason=wanted["reason"],
            disposition=Disposition(wanted["disposition"]) if wanted["disposition"] else None,
        )
        return _file(self, agreement_id)


class DispositionView(TenantAPIView):
    @extend_schema(operation_id="choose_disposition", request=DispositionInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Choose what becomes of the data of an agreement that ended; once."""
        wanted = validated(DispositionInput, request)
        services.choose_disposition(
            actor=self.actor,
            agreement_id=AgreementId(agreement_id),
            disposition=Disposition(wanted["disposition"]),
        )
        return _file(self, agreement_id)


class DocumentView(TenantAPIView):
    #: What a version can be taken away as.
    forms: ClassVar[tuple[str, ...]] = ("text", "html", "pdf")

    @extend_schema(
        operation_id="get_agreement_document",
        parameters=[OpenApiParameter("form", str, enum=forms)],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, tenant: str, agreement_id: UUID) -> HttpResponse:
        """Return the document: the canonical text that is hashed and signed, or a page, or a PDF of it."""
        services.require_may_manage(self.actor)
        form = request.query_params.get("form", "text")
        if form not in self.forms:
            raise InvalidInputError(f"There are these forms: {', '.join(self.forms)}.")
        file = services.open_version(actor=self.actor, agreement_id=AgreementId(agreement_id), as_document=True)
        name = f"agreement-{file.agreement.version}"
        if form == "text":
            return _download(file.text().encode(), "text/plain; charset=utf-8", f"{name}.txt")
        if form == "html":
            return _download(file.html().encode(), "text/html; charset=utf-8", f"{name}.html")
        return _download(to_pdf(file.html()), "application/pdf", f"{name}.pdf")


class DifferencesView(TenantAPIView):
    @extend_schema(operation_id="compare_agreements", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, agreement_id: UUID, other_id: UUID) -> Response:
        """Compare this version (before) with another (after): in words, and in what either permits."""
        changes, shifts = asking.compare_versions(
            actor=self.actor, before_id=AgreementId(agreement_id), after_id=AgreementId(other_id)
        )
        return Response({"changes": [change_row(one) for one in changes], "shifts": [shift_row(one) for one in shifts]})


class EffectView(TenantAPIView):
    @extend_schema(operation_id="preview_agreement", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, tenant: str, agreement_id: UUID) -> Response:
        """Say which acts would be decided otherwise if this version were in force now."""
        shifts = asking.what_would_change(actor=self.actor, agreement_id=AgreementId(agreement_id))
        return Response({"count": len(shifts), "results": [shift_row(one) for one in shifts]})


class ExplainView(TenantAPIView):
    @extend_schema(operation_id="explain_agreement", request=QuestionInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str) -> Response:
        """Answer "may X do Y to Z, and by which clause?", with everything that stands against it."""
        services.require_may_manage(self.actor)
        wanted = validated(QuestionInput, request)
        question = asking.Question(
            role=Role(wanted["role"]),
            activity=Activity(wanted["activity"]),
            category=DataCategory(wanted["category"]),
            purpose=Purpose(wanted["purpose"]),
            place=Place(wanted["place"]),
            processor=wanted["processor"],
            granted_by=GrantKind(wanted["granted_by"]) if wanted["granted_by"] else None,
            actor_institution=wanted["actor_institution"],
            institution=wanted["institution"],
        )
        version = AgreementId(wanted["agreement_id"]) if wanted["agreement_id"] else None
        return Response(answer_row(asking.explain(actor=self.actor, question=question, agreement_id=version)))


class NoticeView(TenantAPIView):
    @extend_schema(operation_id="record_transfer_notice", request=TransferNoticeInput, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request, tenant: str, notice_id: UUID) -> Response:
        """Record that the authority was notified of a standard contract (KVKK art. 9(5))."""
        wanted = validated(TransferNoticeInput, request)
        notice = services.record_notice(
            actor=self.actor, notice_id=notice_id, given_on=wanted["given_on"], reference=wanted["reference"]
        )
        return Response(notice_row(notice, _today()))


def _file(view: TenantAPIView, agreement_id: UUID, *, status: int = 200) -> Response:
    file = services.open_version(actor=view.actor, agreement_id=AgreementId(agreement_id))
    return Response(file_row(file, _today()), status=status, headers={"ETag": f'"{file.agreement.revision}"'})


def _content_of(wanted: dict[str, Any]) -> Content:
    if "content" in wanted:
        return parse_content(wanted["content"])
    missing = [name for name in ("template", "controller", "processor") if name not in wanted]
    if missing:
        raise InvalidInputError(f"Send content, or a template with both parties; missing: {', '.join(missing)}.")
    content = content_from_template(
        wanted["template"],
        controller=Party(**wanted["controller"]),
        processor=Party(**wanted["processor"]),
        regions=frozenset(wanted["regions"]),
    )
    data = content_to_json(content)
    data["terms"]["sub_processors"]["list"] = wanted["sub_processors"]
    return parse_content(data)


def _revision(if_match: str) -> int:
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 9:
        raise InvalidInputError("Send If-Match with the ETag of the draft that you changed.")
    return int(text)


def _today() -> Any:
    return SYSTEM_CLOCK.now().astimezone(ISTANBUL).date()


def _download(data: bytes, media_type: str, name: str) -> HttpResponse:
    """Answer with bytes that a browser saves and never shows or runs."""
    response = HttpResponse(data, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response

"""Asking for an export of the audit trail, following it, fetching it; every step is itself in the trail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings

from gantry.access.public import require_permission
from gantry.audit.public import (
    Entry,
    LedgerEmptyError,
    Outcome,
    Recorder,
    kind_of,
    open_ledger,
    record,
    record_access,
    request_checkpoint,
    wait_for_signature,
)
from gantry.foundation.jobs import job
from gantry.foundation.scope import atomic_service, current_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import GantryError, InvalidInputError, NotFoundError
from gantry.kernel.ids import TenantId, new_uuid
from gantry.kernel.vocabulary import AdminPermission, DataCategory
from gantry.oversight.exports.bundle import count_events, write_bundle
from gantry.oversight.exports.domain import NEXT, ExportQuery, ExportState, Format, Step, states_before
from gantry.oversight.exports.errors import (
    ExportNotReadyError,
    ExportOverError,
    NotSignedError,
    OvertakenError,
    TimeRequiredError,
)
from gantry.oversight.exports.naming import Joiner
from gantry.oversight.exports.order import Order
from gantry.oversight.models import AuditExport
from gantry.studies.public import list_names
from gantry.tenancy.public import get_tenant
from gantry.vault.public import SealedReader, StoredRef, VaultNotFoundError, get_vault

log = structlog.get_logger(__name__)

#: A bundle names people: it is kept no longer than it takes to fetch it.
KEEP: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=366 * 11)
_CHECKPOINT_S: Final = 30.0
_MOST_ATTEMPTS: Final = 5


def require_reader(actor: Actor) -> None:
    """Refuse who may not read the trail, before anything that they sent is looked at.

    Raises
    ------
    Refused
    """
    require_permission(actor, AdminPermission.AUDIT_READ)


def open_checkpoint(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> str:
    """Return the newest signed checkpoint of the actor's tenant.

    Raises
    ------
    Refused
    LedgerEmptyError
        Nothing was signed yet.
    """
    with unit_of_work():
        require_permission(actor, AdminPermission.AUDIT_READ)
        detail = {"of": "checkpoint"}
        record(actor=actor, entry=Entry(kind=kind_of("audit.read"), action="audit.read", detail=detail), clock=clock)
    return open_ledger(actor.tenant_id, actor_id=actor.id).checkpoint.note


def request_export(
    *, actor: Actor, query: ExportQuery, formats: frozenset[Format], clock: Clock = SYSTEM_CLOCK
) -> AuditExport:
    """Ask for an export; a worker writes it.

    Raises
    ------
    Refused
        The role does not include reading the audit trail.
    TimeRequiredError
        The time is empty, runs backwards or is longer than any retention.
    """
    require_permission(actor, AdminPermission.AUDIT_READ)
    require_time(query)
    key_id = new_uuid()
    get_vault().keys.create_key(actor.tenant_id, key_id)
    return _request(actor, query, formats, key_id, clock)


@atomic_service
def _request(actor: Actor, query: ExportQuery, formats: frozenset[Format], key_id: UUID, clock: Clock) -> AuditExport:
    export = AuditExport.objects.create(
        requested_by=actor.id, requested_role=actor.role, query=query.to_json(), formats=sorted(map(str, formats)),
        state=ExportState.QUEUED, created_at=clock.now(), key_id=key_id,
    )  # fmt: skip
    _record(actor, "audit.export_requested", export, clock)
    export_job.defer(export_id=export.pk)
    return export


@atomic_service
def list_exports(*, actor: Actor, offset: int, limit: int) -> tuple[int, list[AuditExport]]:
    """Return how many exports there are, and some of them, newest first."""
    require_permission(actor, AdminPermission.AUDIT_READ)
    rows = AuditExport.objects.order_by("-created_at", "pk")
    return rows.count(), list(rows[offset : offset + limit])


@atomic_service
def get_export(*, actor: Actor, export_id: UUID) -> AuditExport:
    """Return an export's state.

    Raises
    ------
    NotFoundError
        There is none.
    """
    require_permission(actor, AdminPermission.AUDIT_READ)
    export = AuditExport.objects.filter(pk=export_id).first()
    if export is None:
        raise NotFoundError
    return export


@atomic_service
def cancel_export(*, actor: Actor, export_id: UUID, clock: Clock = SYSTEM_CLOCK) -> AuditExport:
    """End an export that is not over; the worker notices within a page of events.

    Raises
    ------
    NotFoundError
        There is none.
    ExportOverError
        It is over.
    """
    require_permission(actor, AdminPermission.AUDIT_READ)
    export = AuditExport.objects.select_for_update().filter(pk=export_id).first()
    if export is None:
        raise NotFoundError
    state = NEXT.get((ExportState(export.state), Step.CANCEL))
    if state is None:
        raise ExportOverError(f"This export is {export.state} already.")
    export.state, export.finished_at = state, clock.now()
    export.save(update_fields=["state", "finished_at"])
    _record(actor, "audit.export_cancelled", export, clock)
    return export


@dataclass(frozen=True, slots=True)
class OpenedBundle:
    """A bundle that may be read, from any byte on."""

    ref: StoredRef
    name: str
    etag: str

    @contextmanager
    def reading(self) -> Iterator[SealedReader]:
        """Open its bytes."""
        with get_vault().open(self.ref) as reader:
            yield reader


@atomic_service
def open_bundle(*, actor: Actor, export_id: UUID, clock: Clock = SYSTEM_CLOCK) -> OpenedBundle:
    """Open a finished bundle for download; recorded before its first byte leaves.

    A download that broke off and goes on within five minutes adds no event.

    Raises
    ------
    NotFoundError
        There is no such export.
    ExportNotReadyError
        It is not finished, or was destroyed.
    """
    export = get_export(actor=actor, export_id=export_id)
    if export.state != ExportState.DONE or export.object_id is None or export.wrapped_key is None:
        raise ExportNotReadyError(f"This export is {export.state}: there is nothing to download.")
    record_access(
        actor=actor, action="audit.export_downloaded", decision=None,
        subject=Subject(actor.tenant_id, DataCategory.USAGE), study_id=export.pk,
        detail={"export_id": str(export.pk), "sha256": export.sha256}, clock=clock,
    )  # fmt: skip
    assert export.size_bytes is not None
    ref = StoredRef(
        export.tenant_id, export.object_id, export.key_id, bytes(export.wrapped_key), export.size_bytes, export.sha256
    )
    slug = get_tenant().slug
    return OpenedBundle(ref, f"audit-{slug}-{export.created_at:%Y%m%d-%H%M%S}.zip", export.sha256)


def run_export(*, export_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Write an export's bundle: the body of its job. May be run again by whoever finds it unfinished."""
    actor = current_scope().actor
    claimed = _claim(export_id, clock)
    if claimed is None:
        return
    export, order = claimed
    try:
        # What happened until now belongs to it, so it is signed first.
        wait_for_signature(request_checkpoint(clock=clock), timeout_s=_CHECKPOINT_S)
        ledger = open_ledger(order.tenant_id, actor_id=actor.id)
        _progress(export, 0, total=count_events(ledger, order.query))
        bundle = write_bundle(get_vault(), order, ledger, lambda done: _progress(export, done))
        try:
            wrapped = get_vault().seal(order.tenant_id, bundle.sealed, export.key_id)
            _finish(actor, export, clock, {
                "object_id": bundle.sealed.object_id, "wrapped_key": wrapped, "size_bytes": bundle.sealed.size_bytes,
                "sha256": bundle.sha256, "events_done": bundle.events, "events_total": bundle.events,
                "tree_size": bundle.tree_size, "counts": bundle.counts,
            })  # fmt: skip
        except BaseException:
            get_vault().discard(bundle.sealed)
            raise
    except OvertakenError:
        log.info("export.overtaken", export=str(export_id))
    except (NotSignedError, LedgerEmptyError) as error:
        if export.attempt < _MOST_ATTEMPTS:
            raise  # the queue tries again, later and later
        _fail(actor, export, error.code, str(error), clock)
    except GantryError as error:
        _fail(actor, export, error.code, str(error), clock)


@job("oversight.export", queue_name="exports")
def export_job(export_id: UUID) -> None:
    """Write an export of the audit trail."""
    run_export(export_id=export_id)


@job("oversight.forget_exports")
def forget_exports_job() -> None:
    """Destroy bundles that may name somebody who was erased."""
    destroy_exports(names_patients=True)


@atomic_service
def _claim(export_id: UUID, clock: Clock) -> tuple[AuditExport, Order] | None:
    export = AuditExport.objects.select_for_update().filter(pk=export_id).first()
    if export is None or NEXT.get((ExportState(export.state), Step.START)) is None:
        return None
    export.state, export.attempt = ExportState.RUNNING, export.attempt + 1
    export.started_at, export.events_done = clock.now(), 0
    export.save(update_fields=["state", "attempt", "started_at", "events_done"])
    return export, _order(export, clock)


def _order(export: AuditExport, clock: Clock) -> Order:
    tenant = get_tenant()
    requester = Joiner().people([export.requested_by]).get(export.requested_by, str(export.requested_by))
    return Order(
        export_id=export.pk, tenant_id=export.tenant_id, slug=tenant.slug, organisation=tenant.name,
        requested_by=export.requested_by, requester=requester, role=export.requested_role,
        query=ExportQuery.from_json(export.query), formats=frozenset(map(Format, export.formats)), made_at=clock.now(),
        recorder=recorder_of(tenant.slug, tenant.name),
    )  # fmt: skip


def recorder_of(slug: str, name: str) -> Recorder:
    """Return what stands for this installation in a tenant's projections."""
    origin: str = settings.WEB_ORIGIN
    return Recorder(host=origin.partition("://")[2], base_url=f"{origin}/t/{slug}", site=name)


@atomic_service
def recorder_of_tenant() -> Recorder:
    """Return what stands for this installation in the projections of the scope's tenant."""
    tenant = get_tenant()
    return recorder_of(tenant.slug, tenant.name)


@atomic_service
def _progress(export: AuditExport, done: int, *, total: int | None = None) -> None:
    """Say how far it is; raises when somebody else has it, or nobody wants it any more."""
    values: dict[str, Any] = {"events_done": done} | ({"events_total": total} if total is not None else {})
    if not _mine(export).update(**values):
        raise OvertakenError("Another worker has taken this export, or it was cancelled.")


def _mine(export: AuditExport) -> Any:
    return AuditExport.objects.filter(pk=export.pk, attempt=export.attempt, state=ExportState.RUNNING)


@atomic_service
def _finish(actor: Actor, export: AuditExport, clock: Clock, values: dict[str, Any]) -> None:
    state = NEXT[ExportState.RUNNING, Step.FINISH]
    now = clock.now()
    if not _mine(export).update(state=state, finished_at=now, expires_at=now + KEEP, code="", sentence="", **values):
        raise OvertakenError("Another worker has taken this export, or it was cancelled.")
    detail = {"events": str(values["events_done"]), "tree_size": str(values["tree_size"]), "sha256": values["sha256"]}
    _record(actor, "audit.exported", export, clock, **detail)


@atomic_service
def _fail(actor: Actor, export: AuditExport, code: str, sentence: str, clock: Clock) -> None:
    values = {"finished_at": clock.now(), "code": code[:64], "sentence": sentence[:500]}
    if _mine(export).update(state=NEXT[ExportState.RUNNING, Step.FAIL], **values):
        _record(actor, "audit.export_failed", export, clock, outcome=Outcome.FAILURE, code=code)


def destroy_exports(*, names_patients: bool = False, clock: Clock = SYSTEM_CLOCK) -> int:
    """Destroy the keys and bundles whose time is over; with `names_patients`, all: a patient was erased.

    Returns
    -------
    int
        How many bundles are no more.
    """
    with unit_of_work():
        rows = AuditExport.objects.filter(state__in=states_before(Step.DESTROY))
        due = list(rows if names_patients else rows.filter(expires_at__lte=clock.now()))
    return sum(_destroy(export, clock) for export in due)


def _destroy(export: AuditExport, clock: Clock) -> bool:
    vault, tenant_id = get_vault(), TenantId(export.tenant_id)
    try:
        vault.keys.destroy_key(tenant_id, export.key_id)
    except VaultNotFoundError:
        log.warning("export.without_key", export=str(export.pk))
    with unit_of_work():
        values: dict[str, Any] = {"state": ExportState.DESTROYED, "wrapped_key": None, "object_id": None}
        if not AuditExport.objects.filter(pk=export.pk, state=ExportState.DONE).update(**values):
            return False
        _record(system_actor(tenant_id), "audit.export_destroyed", export, clock)
    if export.object_id is not None and export.size_bytes is not None:
        ref = StoredRef(tenant_id, export.object_id, export.key_id, b"", export.size_bytes, export.sha256)
        vault.discard(ref)
    return True


@atomic_service
def list_object_ids() -> set[UUID]:
    """Return the objects that the scope's exports refer to, so that the sweeper leaves them."""
    rows = AuditExport.objects.exclude(object_id=None).values_list("object_id", flat=True)
    return {object_id for object_id in rows if object_id is not None}


@atomic_service
def requesters_of(exports: list[AuditExport]) -> dict[UUID, str]:
    """Return the names of those who asked."""
    return list_names(sorted({one.requested_by for one in exports}))


def require_time(query: ExportQuery) -> None:
    """Refuse a query whose time is empty or without end.

    Raises
    ------
    TimeRequiredError
    """
    if query.since >= query.until:
        raise TimeRequiredError("The time ends before it begins. Name a beginning and a later end.")
    if query.until - query.since > LONGEST:
        raise TimeRequiredError("At most eleven years can be asked for at once.")


def parse_formats(names: list[str]) -> frozenset[Format]:
    """Return the formats of a request; all of them when it names none."""
    if not names:
        return frozenset(Format)
    try:
        return frozenset(map(Format, names))
    except ValueError:
        raise InvalidInputError(f"Formats are {', '.join(Format)}.") from None


def _record(
    actor: Actor, action: str, export: AuditExport, clock: Clock, *, outcome: Outcome = Outcome.SUCCESS, **detail: str
) -> None:
    query = export.query
    patients = (UUID(query["patient"]),) if "patient" in query else ()
    asked = json.dumps({key: value for key, value in query.items() if key != "patient"}, sort_keys=True)
    content = {"export_id": str(export.pk), "query": asked, "formats": ",".join(export.formats), **detail}
    entry = Entry(kind=kind_of(action), action=action, outcome=outcome, detail=content, patients=patients)
    record(actor=actor, entry=entry, clock=clock)

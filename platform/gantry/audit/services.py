"""The one writer of the audit trail: in the caller's transaction, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import psycopg
import structlog
from django.db import DatabaseError, IntegrityError, connection
from django.db.models import Max
from psycopg.types.json import Jsonb

from gantry.audit.domain import AccessKey, Entry, Kind, Outcome
from gantry.audit.errors import AuditUnavailableError
from gantry.audit.models import AccessWindow, PlatformEvent
from gantry.audit.sealing import seal
from gantry.audit.vocabulary import kind_of, require_known
from gantry.foundation.scope import current_tenant_id, tenant_scope, unit_of_work
from gantry.kernel.actor import Actor, Subject
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.decision import Decision, Refused
from gantry.kernel.ids import new_uuid
from gantry.vault.public import VaultError, get_vault

log = structlog.get_logger(__name__)

_COLUMNS = (
    "id", "tenant_id", "occurred_at", "kind", "action", "outcome", "actor_kind", "actor_id", "role", "place", "session",
    "correlation_id", "address", "activity", "purpose", "code", "clause", "agreement_version", "data_category", "study_id",
    "patient_pseudonym", "patients", "institution_id", "detail", "sealed", "sealed_sha256", "sealed_key_id",
)  # fmt: skip
#: A plain insert: the application role may not read the ledger, so nothing is asked back.
_INSERT = f"insert into audit_auditevent ({', '.join(_COLUMNS)}) values ({', '.join(['%s'] * len(_COLUMNS))})"  # noqa: S608 - our own names

#: DESIGN.md §5: one access event per actor, study and session within five minutes.
ACCESS_WINDOW_S = 300


def record(*, actor: Actor, entry: Entry, clock: Clock = SYSTEM_CLOCK) -> None:
    """Add an event in the transaction in progress: it and the effect commit together or not at all.

    Raises
    ------
    AuditUnavailableError
        The event cannot be written; the transaction is lost with it.
    """
    require_known(entry.action, entry.kind)
    decision, subject = entry.decision, entry.subject
    event_id, now = new_uuid(), clock.now()
    tenant_id = current_tenant_id()
    if not connection.in_atomic_block:
        raise RuntimeError("An event is recorded inside `unit_of_work()`, together with what it tells of.")
    try:
        sealed = (
            seal(get_vault().keys, entry.sealed, tenant_id=tenant_id, event_id=event_id, moment=now)
            if entry.sealed
            else None
        )
        values = (
            event_id,
            tenant_id,
            now,
            str(entry.kind),
            entry.action,
            str(entry.outcome),
            str(actor.kind),
            actor.id,
            str(actor.role),
            str(actor.place),
            actor.session,
            actor.correlation_id,
            actor.address,
            str(decision.activity) if decision else "",
            str(decision.purpose) if decision else "",
            decision.code if decision else "",
            decision.clause if decision else "",
            decision.agreement_version if decision else "",
            str(subject.category) if subject else "",
            subject.study_id if subject else None,
            subject.patient_pseudonym if subject else None,
            list(dict.fromkeys(entry.patients)),
            subject.institution_id if subject else None,
            Jsonb(entry.detail),
            sealed.box if sealed else None,
            sealed.sha256 if sealed else "",
            sealed.key_id if sealed else None,
        )
        # Past the ORM, whose insert took three fifths of the time that recording takes here.
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            cursor.execute(_INSERT, values)
    except (DatabaseError, VaultError) as error:
        # No traceback: the database's message may hold the row.
        log.error("audit.not_recorded", action=entry.action, error=type(error).__name__)  # noqa: TRY400 - see above
        raise AuditUnavailableError("This could not be recorded, so it was not done. Try again in a moment.") from error


def record_access(
    *,
    actor: Actor,
    action: str,
    decision: Decision | None,
    subject: Subject,
    study_id: UUID,
    detail: Mapping[str, str] | None = None,
    distinct: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Record a read of a study, once per actor, session, action and five minutes.

    Parameters
    ----------
    distinct
        What makes two reads of one action two events all the same, such as which results were shown; at most 16
        characters.
    """
    key = AccessKey.of(actor, study_id, f"{action}#{distinct[:16]}" if distinct else action)
    epoch_s = int(clock.now().timestamp())
    window = datetime.fromtimestamp(epoch_s - epoch_s % ACCESS_WINDOW_S, tz=clock.now().tzinfo)
    values = {
        "actor_id": key.actor_id,
        "session": key.session,
        "study_id": study_id,
        "action": key.action,
        "window": window,
    }
    if AccessWindow.objects.filter(**values).exists():
        return
    try:
        with unit_of_work():
            AccessWindow(**values).save(force_insert=True)
    except IntegrityError:
        return  # a read at the same moment was faster: it has recorded
    entry = Entry(kind=kind_of(action), action=action, decision=decision, subject=subject, detail=dict(detail or {}))
    record(actor=actor, entry=entry, clock=clock)


def list_last_accesses(study_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return when studies of the scope's tenant were read last, to within the window; within a unit of work."""
    rows = AccessWindow.objects.filter(study_id__in=list(study_ids)).values("study_id").annotate(last=Max("window"))
    return {row["study_id"]: row["last"] for row in rows}


def record_refusal(refused: Refused) -> None:
    """Record a refusal in a transaction of its own (called by an entry point's boundary)."""
    entry = Entry(
        kind=Kind.SECURITY_ALERT,
        action=f"{refused.decision.activity}.refused",
        outcome=Outcome.REFUSED,
        decision=refused.decision,
        subject=refused.subject,
    )
    with tenant_scope(refused.actor), unit_of_work():
        record(actor=refused.actor, entry=entry)


def record_platform(
    *,
    kind: Kind,
    action: str,
    outcome: Outcome,
    user_id: UUID | None,
    correlation_id: str,
    detail: dict[str, str],
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Record what happened outside any tenant, such as a failed sign-in."""
    require_known(action, kind)
    event = PlatformEvent(
        occurred_at=clock.now(),
        kind=kind,
        action=action,
        outcome=outcome,
        user_id=user_id,
        correlation_id=correlation_id,
        detail=detail,
    )
    PlatformEvent.objects.bulk_create([event])

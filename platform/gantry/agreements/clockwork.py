"""What time does to agreements: they enter, they end, and people are told before. The gate checks time by itself."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog
from django.db import connection

from gantry.agreements.domain import CURRENT, Status, Step
from gantry.agreements.events import AgreementEnding, TransferNoticeDue
from gantry.agreements.models import Agreement, TransferNotice
from gantry.agreements.services import advance_agreement, enter_agreement
from gantry.audit.public import Entry, Kind, record
from gantry.foundation.outbox import COMPLIANCE, emit
from gantry.foundation.scope import atomic_service, tenant_scope
from gantry.kernel.actor import Actor, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import GantryError
from gantry.kernel.ids import AgreementId, TenantId

log = structlog.get_logger(__name__)

#: Days before the end at which people are told.
REMIND_DAYS = (90, 60, 30, 14, 7, 3, 1)
_REMIND_NOTICE = timedelta(days=2)
_REMIND_NOTICE_AGAIN = timedelta(days=1)


def turn_agreements(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Do for every tenant what time asks for; returns how many versions and notices were looked at."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, agreement_id from gantry.due_agreements()")
        versions = cursor.fetchall()
        cursor.execute("select tenant_id, notice_id from gantry.due_transfer_notices()")
        notices = cursor.fetchall()
    for tenant_id, agreement_id in versions:
        actor = system_actor(TenantId(tenant_id))
        try:
            with tenant_scope(actor):
                turn_version(actor=actor, agreement_id=AgreementId(agreement_id), clock=clock)
        except GantryError as error:
            # Somebody was faster, or the row waits for a person; the others must not wait with it.
            log.warning("agreement.not_turned", agreement_id=str(agreement_id), code=error.code)
    for tenant_id, notice_id in notices:
        actor = system_actor(TenantId(tenant_id))
        with tenant_scope(actor):
            _remind_of_notice(actor=actor, notice_id=notice_id, clock=clock)
    return len(versions) + len(notices)


@atomic_service
def turn_version(*, actor: Actor, agreement_id: AgreementId, clock: Clock = SYSTEM_CLOCK) -> None:
    """Put a signed version in force, let one end, or tell that it will: whatever its time is for."""
    agreement = Agreement.objects.filter(pk=agreement_id).first()
    if agreement is None:
        return
    now = clock.now()
    if agreement.status == Status.SIGNED and agreement.valid_from is not None and agreement.valid_from <= now:
        enter_agreement(actor=actor, agreement_id=agreement_id, clock=clock)
    elif agreement.status in CURRENT and agreement.valid_until is not None:
        if agreement.valid_until <= now:
            advance_agreement(actor=actor, agreement_id=agreement_id, step=Step.EXPIRE, clock=clock)
        else:
            _remind(actor, agreement, (agreement.valid_until - now).days, clock)


def _remind(actor: Actor, agreement: Agreement, days_left: int, clock: Clock) -> None:
    reached = min((days for days in REMIND_DAYS if days_left <= days), default=None)
    if reached is None or (agreement.reminded_days is not None and agreement.reminded_days <= reached):
        return
    agreement.reminded_days = reached
    agreement.save(update_fields=["reminded_days"])
    detail = {"agreement_id": str(agreement.pk), "version": agreement.version, "days": str(days_left)}
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "agreement.reminded", detail=detail), clock=clock)
    event = AgreementEnding(agreement_id=agreement.pk, version=agreement.version, days=days_left)
    emit(event, streams=(COMPLIANCE,), clock=clock)


@atomic_service
def _remind_of_notice(*, actor: Actor, notice_id: UUID, clock: Clock) -> None:
    notice = TransferNotice.objects.select_for_update().filter(pk=notice_id).first()
    if notice is None or notice.given_on is not None:
        return
    now = clock.now()
    is_told = notice.reminded_at is not None and now < notice.reminded_at + _REMIND_NOTICE_AGAIN
    if is_told or notice.due_on > (now + _REMIND_NOTICE).date():
        return
    notice.reminded_at = now
    notice.save(update_fields=["reminded_at"])
    is_overdue = notice.due_on < now.date()
    detail = {
        "notice_id": str(notice.pk),
        "agreement_id": str(notice.agreement_id),
        "due_on": str(notice.due_on),
        "overdue": str(is_overdue).lower(),
    }
    record(actor=actor, entry=Entry(Kind.CONFIGURATION, "transfer_notice.due", detail=detail), clock=clock)
    event = TransferNoticeDue(
        notice_id=notice.pk, agreement_id=notice.agreement_id, due_on=str(notice.due_on), is_overdue=is_overdue
    )
    emit(event, streams=(COMPLIANCE,), clock=clock)

"""Support sessions: an operator of the platform looks into a tenant for a while, and the tenant sees that they do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connection
from django.db.models import QuerySet

from gantry.audit.public import Entry, Kind, Outcome, record, record_platform
from gantry.foundation.outbox import COMPLIANCE, emit
from gantry.foundation.scope import atomic_service, unit_of_work
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.ids import TenantId
from gantry.kernel.vocabulary import DataCategory
from gantry.tenancy.errors import SupportError
from gantry.tenancy.events import SupportChanged
from gantry.tenancy.models import SupportSession

#: A support session lives no longer than a working day.
MAX_LIFETIME = timedelta(hours=8)
#: What the tenant can be asked to have shown. Usage is its own, and reports come with what they speak of.
ASKABLE = frozenset(DataCategory) - {DataCategory.USAGE}


@dataclass(frozen=True, slots=True)
class SupportCard:
    """A support session, as the tenant sees it."""

    id: UUID
    operator_id: UUID
    operator_name: str
    reason: str
    requested: tuple[DataCategory, ...]
    consents: tuple[DataCategory, ...]
    consented_by: UUID | None
    opened_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    is_open: bool


@atomic_service
def open_support(
    *,
    actor: Actor,
    operator_id: UUID,
    operator_name: str,
    reason: str,
    lifetime: timedelta,
    requested: Collection[DataCategory] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> SupportCard:
    """Open the tenant of the scope to an operator; configuration and counts, nothing of a patient.

    Categories that are asked for stay shut until the tenant consents.

    Raises
    ------
    SupportError
        The operator is a member of some tenant or has a session here already; no reason; too long.
    """
    if len(reason.strip()) < 10:
        raise SupportError("Say in a sentence what the support session is for: the organisation reads it.")
    if not timedelta() < lifetime <= MAX_LIFETIME:
        raise SupportError("A support session lasts eight hours at most.")
    if not set(requested) <= ASKABLE:
        raise SupportError("Usage data is not shown to support.")
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from gantry.memberships_of(%s)", [operator_id])
        (memberships,) = cursor.fetchone() or (0,)
    if memberships:
        raise SupportError("Who is a member of an organisation gives no support: use a person of the platform's own.")
    _close_run_out(clock)
    now = clock.now()
    try:
        with unit_of_work():
            session = SupportSession.objects.create(
                operator_id=operator_id,
                operator_name=operator_name,
                reason=reason.strip(),
                requested=sorted(set(requested)),
                opened_at=now,
                expires_at=now + lifetime,
            )
    except IntegrityError as error:
        raise SupportError("This operator has an open support session here.") from error
    _note(actor, "support.opened", session, clock, minutes=int(lifetime.total_seconds() // 60))
    return _card(session, clock)


@atomic_service
def consent_to_support(
    *, actor: Actor, session_id: UUID, categories: Collection[DataCategory], clock: Clock = SYSTEM_CLOCK
) -> SupportCard:
    """Agree that some of what support asked for is shown in this session; giving fewer takes the others back.

    Raises
    ------
    NotFoundError
        There is no such session, or it is over.
    SupportError
        Support did not ask for this.
    """
    session = _open_sessions(clock).select_for_update().filter(pk=session_id).first()
    if session is None:
        raise NotFoundError
    if not set(categories) <= set(session.requested):
        raise SupportError("Agree to what support has asked for, or to less.")
    session.consents, session.consented_by, session.consented_at = sorted(set(categories)), actor.id, clock.now()
    session.save(update_fields=["consents", "consented_by", "consented_at"])
    _note(actor, "support.consented", session, clock, categories=",".join(session.consents))
    return _card(session, clock)


@atomic_service
def end_support(*, actor: Actor, session_id: UUID, clock: Clock = SYSTEM_CLOCK) -> SupportCard:
    """End a support session; whatever it has open closes within seconds.

    Raises
    ------
    NotFoundError
        There is no such session, or it is over.
    """
    session = _open_sessions(clock).select_for_update().filter(pk=session_id).first()
    if session is None:
        raise NotFoundError
    session.ended_at, session.ended_by = clock.now(), actor.id
    session.save(update_fields=["ended_at", "ended_by"])
    _note(actor, "support.ended", session, clock)
    return _card(session, clock)


@atomic_service
def list_support(*, offset: int = 0, limit: int = 100, clock: Clock = SYSTEM_CLOCK) -> tuple[int, list[SupportCard]]:
    """Return how many support sessions the tenant has had and some of them, newest first."""
    rows = SupportSession.objects.order_by("-opened_at", "pk")
    return rows.count(), [_card(one, clock) for one in rows[offset : offset + limit]]


def find_support(slug: str, operator_id: UUID) -> tuple[TenantId, str, list[str]] | None:
    """Return tenant, networks and consents of an operator's open session in a tenant, if there is one."""
    with connection.cursor() as cursor:
        cursor.execute("select tenant_id, networks, consents from gantry.find_support(%s, %s)", [slug, operator_id])
        row = cursor.fetchone()
    return None if row is None else (TenantId(row[0]), row[1], row[2])


def current_consents(operator_id: UUID, clock: Clock) -> frozenset[DataCategory] | None:
    """Return what an operator is shown in the scope's tenant now; `None` where no session of theirs is open."""
    session = _open_sessions(clock).filter(operator_id=operator_id).first()
    return None if session is None else consents_of(session.consents)


def consents_of(texts: Collection[str]) -> frozenset[DataCategory]:
    """Return the categories that a row keeps."""
    return frozenset(map(DataCategory, texts))


def _open_sessions(clock: Clock) -> QuerySet[SupportSession]:
    return SupportSession.objects.filter(ended_at=None, expires_at__gt=clock.now())


def _close_run_out(clock: Clock) -> None:
    """Write down the end of sessions whose time is over, so that a new one can be opened."""
    for session in SupportSession.objects.select_for_update().filter(ended_at=None, expires_at__lte=clock.now()):
        session.ended_at = session.expires_at
        session.save(update_fields=["ended_at"])


def _note(actor: Actor, action: str, session: SupportSession, clock: Clock, **detail: object) -> None:
    """Record in the tenant's trail and in the platform's, and tell the tenant."""
    texts = {"support_id": str(session.pk), "operator": str(session.operator_id)}
    texts |= {key: str(value) for key, value in detail.items()}
    record(actor=actor, entry=Entry(kind=Kind.CONFIGURATION, action=action, detail=texts), clock=clock)
    record_platform(
        kind=Kind.CONFIGURATION,
        action=action,
        outcome=Outcome.SUCCESS,
        user_id=session.operator_id,
        correlation_id=actor.correlation_id,
        detail={**texts, "tenant_id": str(actor.tenant_id)},
        clock=clock,
    )
    emit(
        SupportChanged(support_id=session.pk, state=action.removeprefix("support.")), streams=(COMPLIANCE,), clock=clock
    )


def _card(session: SupportSession, clock: Clock) -> SupportCard:
    return SupportCard(
        id=session.pk,
        operator_id=session.operator_id,
        operator_name=session.operator_name,
        reason=session.reason,
        requested=tuple(map(DataCategory, session.requested)),
        consents=tuple(map(DataCategory, session.consents)),
        consented_by=session.consented_by,
        opened_at=session.opened_at,
        expires_at=session.expires_at,
        ended_at=session.ended_at,
        is_open=session.ended_at is None and session.expires_at > clock.now(),
    )

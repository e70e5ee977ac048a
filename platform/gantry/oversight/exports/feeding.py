"""The feed to a tenant's own audit repository: from where it stood, in order, at least once.

The position moves only after the receiver has taken a batch, so nothing is lost; a batch whose end was not seen is sent
again, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from gantry.access.public import require_permission
from gantry.audit.public import Entry, LedgerEmptyError, LedgerEvent, Outcome, kind_of, open_ledger, record
from gantry.foundation.scope import atomic_service, current_scope, tenant_scope
from gantry.kernel.actor import Actor, system_actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import InvalidInputError, NotFoundError
from gantry.kernel.ids import TenantId
from gantry.kernel.vocabulary import AdminPermission
from gantry.oversight.exports.naming import Joiner
from gantry.oversight.exports.services import list_object_ids as list_bundles
from gantry.oversight.exports.services import recorder_of_tenant
from gantry.oversight.exports.syslog import Receiver, ReceiverError, check_certificates, send, to_syslog
from gantry.oversight.models import SyslogFeed
from gantry.tenancy.public import get_tenant
from gantry.vault.public import StoredRef, general_key_id, get_vault

log = structlog.get_logger(__name__)

_BATCH: Final = 500
#: No batch takes longer; a worker that died with one is followed by another after this.
_LEASE: Final = timedelta(seconds=120)
_PAUSE: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class FeedCard:
    """A feed as its tenant sees it."""

    host: str
    port: int
    is_enabled: bool
    shows_certificate: bool
    next_index: int
    log_size: int
    last_sent_at: datetime | None
    last_failed_at: datetime | None
    failure: str

    def to_row(self) -> dict[str, Any]:
        """Return it as a row."""
        return asdict(self)


@atomic_service
def set_feed(
    *,
    actor: Actor,
    host: str,
    port: int,
    authorities_pem: str,
    certificate_pem: str = "",
    private_key_pem: bytes = b"",
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Have events sent to a receiver from now on; a feed that there is goes on from where it stood.

    Raises
    ------
    Refused
    InvalidInputError
        The installation does not let events go to that host, or certificates are missing or unreadable.
    """
    require_permission(actor, AdminPermission.AUDIT_READ)
    if host not in settings.FEED_HOSTS:
        raise InvalidInputError(
            "This installation sends events to hosts that its operator has named. Ask for this one."
        )
    _require_certificates(authorities_pem, certificate_pem, private_key_pem)
    sealed = None
    if private_key_pem:
        ref = get_vault().put(actor.tenant_id, general_key_id(actor.tenant_id), private_key_pem)
        sealed = {
            "object_id": str(ref.object_id), "wrapped_key": ref.wrapped_key.hex(), "size_bytes": ref.size_bytes,
            "sha256": ref.sha256,
        }  # fmt: skip
    values = {
        "host": host, "port": port, "authorities_pem": authorities_pem, "certificate_pem": certificate_pem,
        "private_key_object": sealed, "is_enabled": True, "updated_at": clock.now(), "failure": "",
        "last_failed_at": None,
    }  # fmt: skip
    SyslogFeed.objects.update_or_create(defaults=values)
    _record(actor, "audit.feed_changed", clock, host=host, port=str(port), state="on")


def _require_certificates(authorities_pem: str, certificate_pem: str, private_key_pem: bytes) -> None:
    if bool(certificate_pem) != bool(private_key_pem):
        raise InvalidInputError("A certificate of ours comes with its key.")
    try:
        check_certificates(Receiver("", 0, authorities_pem, certificate_pem, private_key_pem))
    except (OSError, ValueError):
        raise InvalidInputError("The certificates cannot be read: send PEM, the authorities' always.") from None


@atomic_service
def stop_feed(*, actor: Actor, clock: Clock = SYSTEM_CLOCK) -> None:
    """Send no more events; the position is kept.

    Raises
    ------
    NotFoundError
        There is no feed.
    """
    require_permission(actor, AdminPermission.AUDIT_READ)
    if not SyslogFeed.objects.update(is_enabled=False, updated_at=clock.now()):
        raise NotFoundError
    _record(actor, "audit.feed_changed", clock, state="off")


def get_feed(*, actor: Actor) -> FeedCard | None:
    """Return the tenant's feed and how far it is."""
    row = _get(actor)
    if row is None:
        return None
    try:
        size = open_ledger(actor.tenant_id, actor_id=actor.id).size
    except LedgerEmptyError:
        size = 0
    return FeedCard(
        row.host, row.port, row.is_enabled, bool(row.certificate_pem), row.next_index, size, row.last_sent_at,
        row.last_failed_at, row.failure,
    )  # fmt: skip


@atomic_service
def _get(actor: Actor) -> SyslogFeed | None:
    require_permission(actor, AdminPermission.AUDIT_READ)
    return SyslogFeed.objects.first()


def list_feeds() -> list[TenantId]:
    """Return the tenants whose events are sent somewhere; for the worker's clock."""
    with connection.cursor() as cursor:
        cursor.execute("select gantry.fed_tenants()")
        return [TenantId(row[0]) for row in cursor.fetchall()]


def send_feeds(*, clock: Clock = SYSTEM_CLOCK) -> int:
    """Send what is new of every tenant that wants it; returns how many events were handed over."""
    sent = 0
    for tenant_id in list_feeds():
        with tenant_scope(system_actor(tenant_id)):
            while count := send_next(clock=clock):
                sent += count
                if count < _BATCH:
                    break
    return sent


def send_next(*, clock: Clock = SYSTEM_CLOCK, limit: int = _BATCH) -> int:
    """Send the next events of the scope's tenant, unless another worker does or the receiver failed just now."""
    actor = current_scope().actor
    feed = _claim(clock)
    if feed is None:
        return 0
    try:
        ledger = open_ledger(actor.tenant_id, actor_id=actor.id)
    except LedgerEmptyError:
        _release(feed)
        return 0
    events = [event for _, event in islice(ledger.iter_events(after_index=feed.next_index - 1), limit)]
    if not events:
        _release(feed)
        return 0
    try:
        send(_receiver(feed), _frames(events, Joiner(ledger)))
    except ReceiverError as error:
        log.warning("feed.failed", tenant=str(actor.tenant_id), error=str(error))
        _fail(actor, feed, str(error), clock)
        return 0
    return len(events) if _advance(feed, events[-1].index + 1, clock) else 0


def _frames(events: list[LedgerEvent], joiner: Joiner) -> Iterable[bytes]:
    recorder, slug, names = recorder_of_tenant(), _slug(), joiner.join(events)
    return (frame for event in events for frame in to_syslog(event, recorder, slug, names))


@atomic_service
def _slug() -> str:
    return get_tenant().slug


def _receiver(feed: SyslogFeed) -> Receiver:
    key = b""
    if feed.private_key_object is not None:
        kept = feed.private_key_object
        ref = StoredRef(
            feed.tenant_id, UUID(kept["object_id"]), general_key_id(feed.tenant_id), bytes.fromhex(kept["wrapped_key"]),
            kept["size_bytes"], kept["sha256"],
        )  # fmt: skip
        with get_vault().open(ref) as reader:
            key = reader.read()
    return Receiver(feed.host, feed.port, feed.authorities_pem, feed.certificate_pem, key)


@atomic_service
def _claim(clock: Clock) -> SyslogFeed | None:
    now = clock.now()
    feed = SyslogFeed.objects.select_for_update(skip_locked=True).filter(is_enabled=True).first()
    if feed is None or (feed.lease_until is not None and feed.lease_until > now):
        return None
    if feed.last_failed_at is not None and feed.last_failed_at + _PAUSE > now:
        return None
    feed.attempt, feed.lease_until = feed.attempt + 1, now + _LEASE
    feed.save(update_fields=["attempt", "lease_until"])
    return feed


@atomic_service
def _release(feed: SyslogFeed) -> None:
    SyslogFeed.objects.filter(pk=feed.pk, attempt=feed.attempt).update(lease_until=None)


@atomic_service
def _advance(feed: SyslogFeed, next_index: int, clock: Clock) -> bool:
    rows = SyslogFeed.objects.filter(pk=feed.pk, attempt=feed.attempt)
    values = {"next_index": next_index, "last_sent_at": clock.now(), "failure": "", "last_failed_at": None}
    return bool(rows.update(lease_until=None, **values))


@atomic_service
def _fail(actor: Actor, feed: SyslogFeed, sentence: str, clock: Clock) -> None:
    rows = SyslogFeed.objects.filter(pk=feed.pk, attempt=feed.attempt)
    is_first = not feed.failure
    if rows.update(lease_until=None, last_failed_at=clock.now(), failure=sentence[:300]) and is_first:
        # Once for a failure that lasts, or the trail would fill with its own troubles.
        _record(actor, "audit.feed_failed", clock, outcome=Outcome.FAILURE, host=feed.host)


@atomic_service
def list_object_ids() -> set[UUID]:
    """Return the objects that the scope's exports and feed refer to, so that the sweeper leaves them."""
    kept = SyslogFeed.objects.exclude(private_key_object=None).values_list("private_key_object", flat=True)
    return list_bundles() | {UUID(one["object_id"]) for one in kept if one is not None}


def _record(actor: Actor, action: str, clock: Clock, *, outcome: Outcome = Outcome.SUCCESS, **detail: str) -> None:
    record(actor=actor, entry=Entry(kind=kind_of(action), action=action, outcome=outcome, detail=detail), clock=clock)

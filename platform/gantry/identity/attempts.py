"""Attempts to prove who one is, counted in the database: one truth for all processes, and it survives a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Lower
from django.utils.crypto import salted_hmac

from gantry.audit.public import Kind, Outcome, record_platform
from gantry.foundation.web.correlation import correlation_id
from gantry.identity.domain import ACCOUNT_LIMIT, ADDRESS_LIMIT, Limit, Tally, minutes_until, network_of
from gantry.identity.errors import SignInLockedError
from gantry.identity.models import SignInTally, SpentCode, User
from gantry.kernel.clock import SYSTEM_CLOCK, Clock

_KEEP_TALLIES = timedelta(hours=1)
#: Longer than a code of three 30 s steps can be valid.
_KEEP_CODES = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt under way, already counted as failed until `succeed` takes it back."""

    account: str
    address: str
    step: str
    at: datetime
    account_locks: bool
    address_locks: bool


def begin_attempt(*, email: str, address: str, step: str, clock: Clock = SYSTEM_CLOCK) -> Attempt:
    """Count an attempt for an account, which need not exist, and for a network.

    Raises
    ------
    SignInLockedError
        Either is locked. The attempt is not carried out, so it takes the same time for every account.
    """
    now = clock.now()
    account, network = _subject("account", email.strip().lower()), _network(address)
    before, after = _change(account, now, lambda tally: tally.reserve(now, ACCOUNT_LIMIT))
    if before.is_locked(now):
        _refuse(email, address, step, before, now)
    before_network, after_network = _change(network, now, lambda tally: tally.reserve(now, ADDRESS_LIMIT))
    if before_network.is_locked(now):
        _change(account, now, lambda tally: tally.withdraw(now, ACCOUNT_LIMIT))
        _refuse(email, address, step, before_network, now)
    return Attempt(
        account=email, address=address, step=step, at=now,
        account_locks=after.is_locked(now), address_locks=after_network.is_locked(now),
    )  # fmt: skip


def fail_attempt(attempt: Attempt) -> None:
    """Record that an attempt failed; it has been counted already.

    Raises
    ------
    SignInLockedError
        It was one too many.
    """
    _record(f"{attempt.step}.failed", Outcome.FAILURE, attempt.account, attempt.address)
    if attempt.account_locks or attempt.address_locks:
        locked = "account" if attempt.account_locks else "address"
        _record("sign_in.locked", Outcome.REFUSED, attempt.account, attempt.address, locked=locked)
        limit = ACCOUNT_LIMIT if attempt.account_locks else ADDRESS_LIMIT
        raise SignInLockedError(minutes_until(attempt.at + limit.lock, attempt.at))


def succeed_attempt(attempt: Attempt) -> None:
    """Take an attempt back from the counts. Earlier failures stay: the person may yet fail at the second factor."""
    _withdraw(_subject("account", attempt.account.strip().lower()), attempt.at, ACCOUNT_LIMIT)
    _withdraw(_network(attempt.address), attempt.at, ADDRESS_LIMIT)


def forget_failures(*, email: str, clock: Clock = SYSTEM_CLOCK) -> None:
    """Start an account's count anew after a complete sign-in, and drop counts that no longer matter."""
    SignInTally.objects.filter(pk=_subject("account", email.strip().lower())).delete()
    SignInTally.objects.filter(updated_at__lt=clock.now() - _KEEP_TALLIES).delete()


def spend_code(*, user_id: UUID, code: str, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Mark a one-time code as used; `False` where it has been already (RFC 6238 section 5.2)."""
    now = clock.now()
    SpentCode.objects.filter(spent_at__lt=now - _KEEP_CODES).delete()
    plain = "".join(filter(str.isalnum, code)).upper()
    _, is_new = SpentCode.objects.get_or_create(
        digest=_subject("code", f"{user_id}:{plain}"), defaults={"spent_at": now}
    )
    return is_new


def _subject(kind: str, value: str) -> str:
    return salted_hmac(f"gantry.identity.{kind}", value, algorithm="sha256").hexdigest()


def _network(address: str) -> str:
    """Return the subject of an address; empty where it is not known, which must not become everybody's common lock."""
    network = network_of(address)
    return _subject("address", network) if network else ""


def _change(subject: str, now: datetime, step: Callable[[Tally], Tally]) -> tuple[Tally, Tally]:
    """Apply a step to a tally under its row lock, unless it is locked; return it before and after."""
    if not subject:
        return Tally(), Tally()
    with transaction.atomic(using="identity"):
        # Made or found, the row is locked by this statement until the transaction ends.
        SignInTally.objects.bulk_create(
            [SignInTally(subject=subject, updated_at=now)],
            update_conflicts=True, unique_fields=["subject"], update_fields=["updated_at"],
        )  # fmt: skip
        row = SignInTally.objects.get(pk=subject)
        before = Tally(tuple(row.failed_at), row.locked_until)
        if before.is_locked(now):
            return before, before
        after = step(before)
        _write(row, after, now)
        return before, after


def _withdraw(subject: str, at: datetime, limit: Limit) -> None:
    with transaction.atomic(using="identity"):
        row = SignInTally.objects.select_for_update().filter(pk=subject).first()
        if row is not None:
            _write(row, Tally(tuple(row.failed_at), row.locked_until).withdraw(at, limit), at)


def _write(row: SignInTally, tally: Tally, now: datetime) -> None:
    row.failed_at, row.locked_until, row.updated_at = list(tally.failed_at), tally.locked_until, now
    row.save(update_fields=["failed_at", "locked_until", "updated_at"])


def _refuse(email: str, address: str, step: str, tally: Tally, now: datetime) -> None:
    _record(f"{step}.refused", Outcome.REFUSED, email, address, reason="locked")
    raise SignInLockedError(minutes_until(tally.locked_until or now, now))


def _record(action: str, outcome: Outcome, email: str, address: str, **detail: str) -> None:
    """Write an audit event. What was typed for an unknown account may be a password, so only its digest is kept."""
    typed = email.strip().lower()
    user_id = User.objects.alias(lowered=Lower("email")).filter(lowered=typed).values_list("pk", flat=True).first()
    record_platform(
        kind=Kind.AUTHENTICATION, action=action, outcome=outcome, user_id=user_id, correlation_id=correlation_id(),
        detail={"account": _subject("account", typed)[:32], "address": address, **detail},
    )  # fmt: skip

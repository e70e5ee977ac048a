"""Service accounts and their tokens: scoped, hashed, expiring, rotated with an overlap, revoked at once."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from gantry.audit.public import Entry, Kind, record
from gantry.foundation.scope import atomic_service
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import Role, Scope
from gantry.tenancy.errors import TokenLifetimeError
from gantry.tenancy.models import AccessToken, Institution, Membership, ServiceAccount

TOKEN_PREFIX = "gantry_"  # noqa: S105 - what every token begins with
#: Being used is written down at most this often: that is exact enough to see which token nobody needs any more.
USED_INTERVAL = timedelta(hours=1)
#: How long the token before stays good while programs are given the new one.
OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; `secret` is shown once and kept nowhere."""

    id: UUID
    secret: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenCard:
    """What an administrator sees of a token."""

    id: UUID
    label: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountCard:
    """A service account with its tokens; `scopes` is `None` where nothing confines it."""

    id: UUID
    name: str
    role: Role
    scopes: tuple[Scope, ...] | None
    institution_id: UUID | None
    is_active: bool
    tokens: tuple[TokenCard, ...]


def max_lifetime() -> timedelta:
    """Return the longest that a token may live (`TOKEN_MAX_DAYS`)."""
    return timedelta(days=settings.TOKEN_MAX_DAYS)


@atomic_service
def create_account(
    *, actor: Actor, name: str, scopes: Collection[Scope], institution_id: UUID | None = None
) -> AccountCard:
    """Make a service account that may do what its scopes say, for one institution or for all.

    Raises
    ------
    NotFoundError
        There is no such institution.
    """
    if institution_id is not None and not Institution.objects.filter(pk=institution_id).exists():
        raise NotFoundError
    account = ServiceAccount.objects.create(
        name=name, role=Role.INTEGRATOR, institution_id=institution_id, scopes=sorted(set(scopes))
    )
    _record(actor, "account.created", account_id=account.pk, scopes=",".join(account.scopes or []))
    return _card(account, [])


@atomic_service
def list_accounts(*, offset: int = 0, limit: int = 100) -> tuple[int, list[AccountCard]]:
    """Return how many service accounts there are and some of them, by name; tokens that people hold are not among them."""
    rows = ServiceAccount.objects.filter(membership=None).order_by("name", "pk")
    page = list(rows[offset : offset + limit])
    tokens: dict[UUID, list[AccessToken]] = {one.pk: [] for one in page}
    for token in AccessToken.objects.filter(account__in=page).order_by("created_at", "pk"):
        tokens[token.account_id].append(token)
    return rows.count(), [_card(one, tokens[one.pk]) for one in page]


@atomic_service
def deactivate_account(*, actor: Actor, account_id: UUID) -> None:
    """End a service account: its tokens are worth nothing from now on.

    Raises
    ------
    NotFoundError
        There is no such account, or it was ended before.
    """
    if not ServiceAccount.objects.filter(pk=account_id, membership=None, is_active=True).update(is_active=False):
        raise NotFoundError
    _record(actor, "account.ended", account_id=account_id)


@atomic_service
def issue_account_token(
    *, actor: Actor, account_id: UUID, label: str = "", lifetime: timedelta | None = None, clock: Clock = SYSTEM_CLOCK
) -> IssuedToken:
    """Make a token for a service account; the secret is returned once.

    Raises
    ------
    NotFoundError
        There is no such account.
    TokenLifetimeError
        It would live longer than `TOKEN_MAX_DAYS`.
    """
    account = ServiceAccount.objects.filter(pk=account_id, membership=None, is_active=True).first()
    if account is None:
        raise NotFoundError
    return _issue(actor, account, label, lifetime or max_lifetime(), clock)


@atomic_service
def issue_token(
    *,
    actor: Actor,
    account_name: str,
    role: Role,
    institution_id: UUID | None = None,
    user_id: UUID | None = None,
    label: str = "",
    lifetime: timedelta | None = None,
    scopes: Collection[Scope] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> IssuedToken:
    """Make a token for a service account of this name, or for a member's own programs; the secret is returned once.

    Raises
    ------
    NotFoundError
        `user_id` is no active member with this role.
    TokenLifetimeError
        It would live longer than `TOKEN_MAX_DAYS`.
    """
    membership = None
    if user_id is not None:
        membership = Membership.objects.filter(user_id=user_id, role=role, is_active=True).first()
        if membership is None:
            raise NotFoundError
    account, _ = ServiceAccount.objects.get_or_create(
        name=account_name,
        role=role,
        institution_id=institution_id,  # type: ignore[misc]  # null finds null
        membership=membership,
        scopes=None if scopes is None else sorted(set(scopes)),
        is_active=True,
    )
    return _issue(actor, account, label, lifetime or max_lifetime(), clock)


def _issue(actor: Actor, account: ServiceAccount, label: str, lifetime: timedelta, clock: Clock) -> IssuedToken:
    if not timedelta() < lifetime <= max_lifetime():
        raise TokenLifetimeError(f"A token lives {settings.TOKEN_MAX_DAYS} days at most, and at least a moment.")
    secret = TOKEN_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    token = AccessToken.objects.create(
        account=account,
        digest=hashlib.sha256(secret.encode()).digest(),
        label=label,
        created_at=clock.now(),
        expires_at=clock.now() + lifetime,
    )
    _record(actor, "token.issued", token_id=token.pk, account_id=account.pk, role=account.role)
    return IssuedToken(id=token.pk, secret=secret, expires_at=token.expires_at)


@atomic_service
def rotate_token(
    *,
    actor: Actor,
    token_id: UUID,
    account_id: UUID | None = None,
    overlap: timedelta = OVERLAP,
    lifetime: timedelta | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> IssuedToken:
    """Replace a token: a new one is issued, and the old one ends after an overlap.

    Raises
    ------
    NotFoundError
        There is no such token, or it has ended.
    TokenLifetimeError
        The overlap, or the new token's life, would be too long.
    """
    now = clock.now()
    tokens = AccessToken.objects.select_for_update(of=("self",)).select_related("account")
    old = tokens.filter(pk=token_id, revoked_at=None, expires_at__gt=now, account__is_active=True).first()
    if old is None or (account_id is not None and old.account_id != account_id):
        raise NotFoundError
    if not timedelta() <= overlap <= MAX_OVERLAP:
        raise TokenLifetimeError("The token before stays good for seven days at most.")
    issued = _issue(actor, old.account, old.label, lifetime or max_lifetime(), clock)
    old.expires_at = min(old.expires_at, now + overlap)
    old.save(update_fields=["expires_at"])
    _record(actor, "token.rotated", token_id=old.pk, replaced_by=issued.id, ends=old.expires_at.isoformat())
    return issued


@atomic_service
def revoke_token(*, actor: Actor, token_id: UUID, account_id: UUID | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
    """End a token at once.

    Raises
    ------
    NotFoundError
        There is no such token, or it was revoked before.
    """
    tokens = AccessToken.objects.filter(pk=token_id, revoked_at=None)
    if account_id is not None:
        tokens = tokens.filter(account=account_id)
    if not tokens.update(revoked_at=clock.now()):
        raise NotFoundError
    _record(actor, "token.revoked", token_id=token_id)


@atomic_service
def note_use(*, token_id: UUID, clock: Clock = SYSTEM_CLOCK) -> None:
    """Write down, to the hour, that a token was used."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    AccessToken.objects.filter(pk=token_id).update(last_used_at=hour)


@atomic_service
def is_token_alive(session: str, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Tell whether `session` stands for an access token of the scope's tenant that still holds."""
    return live_tokens(session, clock).exists()


def live_tokens(session: str, clock: Clock) -> QuerySet[AccessToken]:
    """Return the token whose digest begins like this: `resolve_token` gives its first half as the session."""
    try:
        start = bytes.fromhex(session)
    except ValueError:
        return AccessToken.objects.none()
    if len(start) != 16:
        return AccessToken.objects.none()
    return AccessToken.objects.filter(
        digest__gte=start,
        digest__lte=start + b"\xff" * 16,
        revoked_at=None,
        expires_at__gt=clock.now(),
        account__is_active=True,
    ).filter(Q(account__membership=None) | Q(account__membership__is_active=True))


def scopes_of(texts: Collection[str] | None) -> frozenset[Scope] | None:
    """Return the scopes that a row keeps; one that this version does not know reaches nothing."""
    if texts is None:
        return None
    return frozenset(Scope(text) for text in texts if text in {scope.value for scope in Scope})


def _card(account: ServiceAccount, tokens: Collection[AccessToken]) -> AccountCard:
    scopes = scopes_of(account.scopes)
    return AccountCard(
        id=account.pk,
        name=account.name,
        role=Role(account.role),
        scopes=None if scopes is None else tuple(sorted(scopes)),
        institution_id=account.institution_id,
        is_active=account.is_active,
        tokens=tuple(
            TokenCard(one.pk, one.label, one.created_at, one.expires_at, one.revoked_at, one.last_used_at)
            for one in tokens
        ),
    )


def _record(actor: Actor, action: str, **detail: object) -> None:
    entry = Entry(kind=Kind.CONFIGURATION, action=action, detail={key: str(value) for key, value in detail.items()})
    record(actor=actor, entry=entry)

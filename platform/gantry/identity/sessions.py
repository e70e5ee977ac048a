"""Sessions whose key never reaches the database (`SESSION_ENGINE`), and the check of one outside Django's requests."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import constant_time_compare

from gantry.audit.public import Kind, Outcome, record_platform
from gantry.identity.models import Session, User
from gantry.kernel.clock import SYSTEM_CLOCK, Clock

#: Being seen is written down at most this often, so that reading pages does not write to the database.
TOUCH_INTERVAL = timedelta(minutes=1)
#: Keys of the session's data that its row repeats for the list of sessions.
ADDRESS_KEY = "gantry_address"
AGENT_KEY = "gantry_agent"


def session_digest(session_key: str | None) -> str:
    """Return what stands for a session in the database and the audit trail; the key cannot be had from it."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()[:32]


def live_sessions(clock: Clock) -> QuerySet[Session]:
    """Return the sessions that are neither past their lifetime nor idle for too long."""
    now = clock.now()
    return Session.objects.filter(expires_at__gt=now, last_seen_at__gt=now - idle_timeout())


def idle_timeout() -> timedelta:
    """Return how long a session may be left alone (`SESSION_IDLE_S`)."""
    return timedelta(seconds=settings.SESSION_IDLE_S)


class SessionStore(SessionBase):
    """Keep sessions in `identity_session` under a digest of their key."""

    clock: ClassVar[Clock] = SYSTEM_CLOCK

    def load(self) -> dict[str, Any]:
        session = live_sessions(self.clock).filter(pk=session_digest(self.session_key)).first()
        if session is None:
            # The next save makes a new key: a stranger cannot choose one for somebody else.
            self._session_key = None
            return {}
        _touch(session, self.clock)
        data: dict[str, Any] = self.decode(session.data)
        return data

    def exists(self, session_key: str) -> bool:
        return Session.objects.filter(pk=session_digest(session_key)).exists()

    def create(self) -> None:
        self.clear_expired()
        self._session_key = secrets.token_urlsafe(32)
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]  # absent from the stubs
        digest = session_digest(self.session_key)
        columns = {
            "data": self.encode(data),
            "user_id": data.get(SESSION_KEY),
            "address": data.get(ADDRESS_KEY, ""),
            "agent": data.get(AGENT_KEY, ""),
        }
        if must_create:
            now = self.clock.now()
            expires_at = now + timedelta(seconds=settings.SESSION_COOKIE_AGE)
            Session.objects.create(digest=digest, created_at=now, last_seen_at=now, expires_at=expires_at, **columns)
        elif not Session.objects.filter(pk=digest).update(**columns):
            # Ended meanwhile, by its owner or an administrator: a late answer must not bring it back.
            raise UpdateError

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            Session.objects.filter(pk=session_digest(key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        end_idle_sessions(clock=cls.clock)


def end_idle_sessions(*, clock: Clock = SYSTEM_CLOCK, limit: int = 500) -> None:
    """Delete sessions that were left alone for too long, each with its event; one process at a time takes a session."""
    # What has outlived its lifetime falls idle soon after, so one indexed column finds all.
    idle = Session.objects.filter(last_seen_at__lte=clock.now() - idle_timeout())
    with transaction.atomic(using="identity"):
        for session in idle.select_for_update(skip_locked=True).order_by("last_seen_at")[:limit]:
            if session.user_id is not None:
                record_platform(
                    kind=Kind.AUTHENTICATION,
                    action="session.timed_out",
                    outcome=Outcome.SUCCESS,
                    user_id=session.user_id,
                    correlation_id="",
                    detail={"session": session.digest, "address": session.address},
                    clock=clock,
                )
            session.delete()


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session that is in force: whose it is, and the digest that stands for it everywhere."""

    user_id: UUID
    session_digest: str


def resolve_session(session_key: str | None, *, clock: Clock = SYSTEM_CLOCK) -> SessionInfo | None:
    """Return the signed-in person behind the session cookie's value, or `None`.

    One query by primary key. Counts as use of the session. For entry points that Django's middleware does
    not serve; like every use of the ORM there, call it in a thread and close old connections afterwards.
    """
    if not session_key:
        return None
    session = _open(session_digest(session_key), clock)
    if session is None or session.user_id is None:
        return None
    _touch(session, clock)
    return SessionInfo(user_id=session.user_id, session_digest=session.digest)


def is_session_alive(digest: str, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Tell whether a session still holds. Does not count as use: an open socket alone keeps nobody signed in."""
    return _open(digest, clock) is not None


def _open(digest: str, clock: Clock) -> Session | None:
    session = live_sessions(clock).filter(pk=digest).select_related("user").first()
    if session is None or session.user is None or not session.user.is_active:
        return None
    return session if _is_bound(SessionStore().decode(session.data), session.user) else None


def _is_bound(data: Mapping[str, Any], user: User) -> bool:
    """Tell whether the person's password and generation are those of the sign-in (as `django.contrib.auth.get_user`)."""
    bound_to = str(data.get(HASH_SESSION_KEY, ""))
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(bound_to, value) for value in hashes)


def _touch(session: Session, clock: Clock) -> None:
    now = clock.now()
    if now - session.last_seen_at >= TOUCH_INTERVAL:
        Session.objects.filter(pk=session.pk, last_seen_at__lt=now).update(last_seen_at=now)

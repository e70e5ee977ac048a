"""People, their passwords and their sessions."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import F

from gantry.audit.public import Outcome, kind_of, record_platform
from gantry.foundation.web.correlation import correlation_id
from gantry.identity.models import Session, User
from gantry.identity.sessions import live_sessions
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import InvalidInputError, NotFoundError


@dataclass(frozen=True, slots=True)
class SessionCard:
    """What a person sees of one of their sessions."""

    digest: str
    agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    is_current: bool


def create_person(*, email: str, name: str, password: str) -> User:
    """Make a person who can sign in; what they may do is said by memberships.

    Raises
    ------
    InvalidInputError
        The address is not one or is taken, or the password is too weak.
    """
    person = User(email=email.strip().lower(), name=name.strip())
    try:
        validate_email(person.email)
    except ValidationError as error:
        raise InvalidInputError("This is not an e-mail address.") from error
    _check_password(password, person)
    person.set_password(password)
    record_event("person.created", user_id=person.pk)
    try:
        with transaction.atomic(using="identity"):
            person.save(force_insert=True)
    except IntegrityError as error:
        raise InvalidInputError("Somebody with this e-mail address exists already.") from error
    return person


def find_or_invite(*, email: str, name: str) -> UUID:
    """Return the id of the person with this address, made where there is none, without a password to sign in with.

    Raises
    ------
    InvalidInputError
        The address is not one.
    """
    known = find_person(email.strip())
    if known is not None:
        return known
    person = User(email=email.strip().lower(), name=name.strip())
    try:
        validate_email(person.email)
    except ValidationError as error:
        raise InvalidInputError("This is not an e-mail address.") from error
    person.set_unusable_password()
    record_event("person.created", user_id=person.pk)
    try:
        with transaction.atomic(using="identity"):
            person.save(force_insert=True)
    except IntegrityError:
        return find_or_invite(email=email, name=name)  # somebody else was faster
    return person.pk


def give_password(*, email: str) -> str:
    """Give a person a new password, which is in this answer alone, and end their sessions; for the operator.

    Raises
    ------
    NotFoundError
        There is nobody with this address.
    """
    person = User.objects.filter(email__iexact=email.strip()).first()
    if person is None:
        raise NotFoundError
    password = secrets.token_urlsafe(18)
    set_password(user=person, password=password)
    return password


def find_person(email: str) -> UUID | None:
    """Return the id of the person with this address; for commands of the operator, never for a request."""
    person: UUID | None = User.objects.filter(email__iexact=email).values_list("pk", flat=True).first()
    return person


def set_password(*, user: User, password: str, keep_session: str = "") -> None:
    """Change a person's password and end their sessions, but for the one whose digest is given.

    Raises
    ------
    InvalidInputError
        The password is too weak.
    """
    _check_password(password, user)
    record_event("password.changed", user_id=user.pk)
    user.set_password(password)
    with transaction.atomic(using="identity"):
        user.save(update_fields=["password"])
        Session.objects.filter(user=user).exclude(pk=keep_session).delete()


def list_sessions(*, user_id: UUID, current: str, clock: Clock = SYSTEM_CLOCK) -> list[SessionCard]:
    """Return a person's sessions, the one with the digest `current` first, then the latest seen."""
    sessions = live_sessions(clock).filter(user_id=user_id).order_by("-last_seen_at")
    cards = [
        SessionCard(s.digest, s.agent, s.address, s.created_at, s.last_seen_at, is_current=s.digest == current)
        for s in sessions
    ]
    return sorted(cards, key=lambda card: not card.is_current)


def end_session(*, user_id: UUID, digest: str) -> None:
    """End one of a person's sessions at once.

    Raises
    ------
    NotFoundError
        The person has no such session.
    """
    session = Session.objects.filter(user_id=user_id, pk=digest).first()
    if session is None:
        raise NotFoundError
    record_event("session.ended", user_id=user_id, session=digest)
    session.delete()


def end_other_sessions(*, user_id: UUID, current: str) -> None:
    """End all of a person's sessions but one."""
    record_event("session.others_ended", user_id=user_id, session=current)
    Session.objects.filter(user_id=user_id).exclude(pk=current).delete()


def end_all_sessions(*, user_id: UUID) -> None:
    """End every session of a person, also those that are just being opened."""
    record_event("session.all_ended", user_id=user_id)
    with transaction.atomic(using="identity"):
        User.objects.filter(pk=user_id).update(generation=F("generation") + 1)
        Session.objects.filter(user_id=user_id).delete()


def record_event(
    action: str,
    *,
    user_id: UUID,
    outcome: Outcome = Outcome.SUCCESS,
    **detail: str,
) -> None:
    """Record an event about a person, before its effect: the effect is on another connection.

    So every effect has its event, though an event may be left without effect; and where nothing can be
    recorded, nothing happens.
    """
    record_platform(
        kind=kind_of(action),
        action=action,
        outcome=outcome,
        user_id=user_id,
        correlation_id=correlation_id(),
        detail=detail,
    )


def _check_password(password: str, person: User) -> None:
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise InvalidInputError(" ".join(error.messages)) from error

"""Where django-allauth asks the project: counted attempts, audit events, sealed secrets."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.http import url_has_allowed_host_and_scheme

from gantry.audit.public import Outcome
from gantry.identity.addresses import client_address
from gantry.identity.attempts import begin_attempt, fail_attempt, forget_failures, succeed_attempt
from gantry.identity.domain import describe_agent
from gantry.identity.errors import SignInLockedError
from gantry.identity.models import User
from gantry.identity.sealing import seal, unseal
from gantry.identity.services import record_event, set_password
from gantry.identity.sessions import ADDRESS_KEY, AGENT_KEY, session_digest
from gantry.kernel.clock import SYSTEM_CLOCK, Clock

#: Said by the page that follows, or by its absence.
_SILENT_MESSAGES = frozenset({"account/messages/logged_in.txt", "account/messages/logged_out.txt"})


class AccountAdapter(DefaultAccountAdapter):
    clock: Clock = SYSTEM_CLOCK
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": "The e-mail address or the password is not right.",
        "incorrect_password": "The password is not right.",
        "enter_current_password": "The current password is not right.",
    }

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        """Check a password; every attempt is counted first, whether or not the account exists."""
        try:
            attempt = begin_attempt(
                email=str(credentials.get("email", "")),
                address=client_address(request),
                step="sign_in",
                clock=self.clock,
            )
            user = super().authenticate(request, **credentials)
            if user is None:
                fail_attempt(attempt)
            else:
                succeed_attempt(attempt)
        except SignInLockedError as error:
            raise ValidationError(str(error), code=error.code) from error
        return user

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        found = self.authenticate(context.request, email=_person(user).email, password=password)
        if found is None or found.pk != user.pk:
            return False
        record_event("identity.confirmed", user_id=found.pk, by="password")
        return True

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Open the session, once every factor has been passed."""
        person = _person(user)
        address = client_address(request)
        records = get_authentication_records(request, user)
        methods = ",".join(str(record.get("type") or record.get("method")) for record in records)
        record_event("sign_in.succeeded", user_id=person.pk, address=address, methods=methods)
        forget_failures(email=person.email, clock=self.clock)
        request.session[ADDRESS_KEY] = address
        request.session[AGENT_KEY] = describe_agent(request.headers.get("User-Agent", ""))
        super().login(request, user)

    def logout(self, request: HttpRequest) -> None:
        user_id: UUID = _person(request.user).pk
        record_event("sign_out", user_id=user_id, session=session_digest(request.session.session_key))
        super().logout(request)

    def respond_user_inactive(self, request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
        record_event(
            "sign_in.refused",
            user_id=user.pk,
            outcome=Outcome.REFUSED,
            address=client_address(request),
            reason="inactive",
        )
        return super().respond_user_inactive(request, user)

    def set_password(self, user: AbstractBaseUser, password: str) -> None:
        set_password(
            user=_person(user), password=password, keep_session=session_digest(context.request.session.session_key)
        )

    def is_safe_url(self, url: str) -> bool:
        """Allow only addresses within this site, written without a host."""
        return url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        if message_template not in _SILENT_MESSAGES:
            super().add_message(request, level, message_template, *args, **kwargs)


class SecondFactorAdapter(DefaultMFAAdapter):
    def build_totp_svg(self, url: str) -> str:
        """Draw the QR code on a white ground: allauth's own is transparent, which no phone reads on a dark page."""
        drawing: str = super().build_totp_svg(url)
        return drawing.replace("<path", '<rect width="100%" height="100%" fill="white"/><path', 1)

    def encrypt(self, text: str) -> str:
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal(encrypted_text)


def _person(user: object) -> User:
    if not isinstance(user, User):
        raise TypeError("A signed-in user is expected here.")
    return user

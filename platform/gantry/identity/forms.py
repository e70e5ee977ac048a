"""allauth's forms with our labels, and with every code and password counted (see `attempts`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account.forms import ChangePasswordForm, LoginForm, ReauthenticateForm
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as ReauthenticateWithCodeForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import BaseForm

from gantry.foundation.web.problems import UnauthenticatedError
from gantry.identity.addresses import client_address
from gantry.identity.attempts import begin_attempt, fail_attempt, spend_code, succeed_attempt
from gantry.identity.errors import SignInLockedError
from gantry.identity.models import User
from gantry.identity.services import record_event


class SignInForm(LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _relabel(self, login="E-mail", password="Password")  # noqa: S106 - a label
        self.fields["login"].widget.attrs.update(autocomplete="username", autofocus=True, maxlength=254)


class ConfirmPasswordForm(ReauthenticateForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _relabel(self, password="Password")  # noqa: S106 - a label
        self.fields["password"].widget.attrs.update(autofocus=True)


class NewPasswordForm(ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _relabel(self, oldpassword="Current password", password1="New password", password2="New password again")

    def clean_oldpassword(self) -> str:
        return _count(self.user, "password", super().clean_oldpassword)


class SecondFactorForm(AuthenticateForm):
    """The code asked for after the password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _relabel_code(self)

    def clean_code(self) -> str:
        return _count(self.user, "second_factor", lambda: _spend(self.user, super(SecondFactorForm, self).clean_code()))


class ConfirmCodeForm(ReauthenticateWithCodeForm):
    """The code asked for again before something that matters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _relabel_code(self)

    def clean_code(self) -> str:
        code = _count(self.user, "second_factor", lambda: _spend(self.user, super(ConfirmCodeForm, self).clean_code()))
        record_event("identity.confirmed", user_id=self.user.pk, by="second_factor")
        return code


class ActivateSecondFactorForm(ActivateTOTPForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _relabel_code(self)


def _count(user: AbstractBaseUser | None, step: str, check: Callable[[], str]) -> str:
    """Run a check of somebody's secret as a counted attempt."""
    if not isinstance(user, User):
        raise UnauthenticatedError
    try:
        attempt = begin_attempt(email=user.email, address=client_address(context.request), step=step)
        try:
            # allauth locks its rows, but opens its transactions on the other connection.
            with transaction.atomic(using="identity"):
                value = check()
        except ValidationError:
            fail_attempt(attempt)
            raise
        succeed_attempt(attempt)
    except SignInLockedError as error:
        raise ValidationError(str(error), code=error.code) from error
    return value


def _spend(user: User, code: str) -> str:
    if not spend_code(user_id=user.pk, code=code):
        raise get_adapter().validation_error("incorrect_code")
    return code


def _relabel(form: BaseForm, **labels: str) -> None:
    for name, label in labels.items():
        form.fields[name].label = label
        form.fields[name].help_text = ""
        form.fields[name].widget.attrs.pop("placeholder", None)


def _relabel_code(form: BaseForm) -> None:
    _relabel(form, code="Six-digit code")
    form.fields["code"].widget.attrs.update(inputmode="numeric", autofocus=True, maxlength=16)

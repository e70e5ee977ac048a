"""Pages of one's own account; signing in itself is django-allauth's, with our templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.generic import FormView, TemplateView, View

from gantry.foundation.web.problems import UnauthenticatedError
from gantry.identity.models import User
from gantry.identity.services import end_other_sessions, end_session, list_sessions, record_event
from gantry.identity.sessions import session_digest
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.kernel.errors import NotFoundError

if TYPE_CHECKING:
    _FormView = FormView[BaseForm]
else:
    _FormView = FormView


class SessionsView(LoginRequiredMixin, TemplateView):
    """The browsers in which a person is signed in."""

    template_name = "identity/sessions.html"
    clock: ClassVar[Clock] = SYSTEM_CLOCK

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user, current = _whose(self.request)
        return super().get_context_data(
            sessions=list_sessions(user_id=user.pk, current=current, clock=self.clock), **kwargs
        )


class EndSessionsView(LoginRequiredMixin, View):
    """End one session, named in the body and never in the address, or all but the one that asks."""

    def post(self, request: HttpRequest) -> HttpResponse:
        user, current = _whose(request)
        digest = request.POST.get("session", "")
        if digest == "others":
            end_other_sessions(user_id=user.pk, current=current)
            messages.success(request, "All other sessions were signed out.")
            return redirect("identity_sessions")
        try:
            end_session(user_id=user.pk, digest=digest)
        except NotFoundError:
            messages.info(request, "That session had ended already.")
            return redirect("identity_sessions")
        if digest == current:
            request.session.flush()
            return redirect("account_login")
        messages.success(request, "The session was signed out.")
        return redirect("identity_sessions")


class _Recorded(_FormView):
    """Record what a form is about to do, then do it in one transaction of the identity connection."""

    action: ClassVar[str]

    def form_valid(self, form: BaseForm) -> HttpResponse:
        user, _ = _whose(self.request)
        record_event(self.action, user_id=user.pk)
        with transaction.atomic(using="identity"):
            return super().form_valid(form)


class ActivateSecondFactorView(_Recorded, ActivateTOTPView):
    action = "second_factor.activated"
    template_name = "identity/second_factor_activate.html"


class RemoveSecondFactorView(_Recorded, DeactivateTOTPView):
    action = "second_factor.removed"
    template_name = "identity/second_factor_remove.html"


class ShowRecoveryCodesView(ViewRecoveryCodesView):
    template_name = "identity/recovery_codes.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user, _ = _whose(request)
        record_event("recovery_codes.shown", user_id=user.pk)
        answer: HttpResponse = super().get(request, *args, **kwargs)
        return answer


class RenewRecoveryCodesView(_Recorded, GenerateRecoveryCodesView):
    action = "recovery_codes.renewed"
    template_name = "identity/recovery_codes_renew.html"


def _whose(request: HttpRequest) -> tuple[User, str]:
    """Return the signed-in person and the digest of the session that asks."""
    user = request.user
    if not isinstance(user, User):
        raise UnauthenticatedError
    return user, session_digest(request.session.session_key)

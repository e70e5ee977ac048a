"""From a request to an actor: session or bearer token, for the tenant in the address."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.foundation.web.correlation import correlation_id
from gantry.kernel.actor import Actor
from gantry.tenancy.services import resolve_person, resolve_token


def session_digest(session_key: str | None) -> str:
    """Return what stands for a session in the audit trail: a digest that cannot be turned back into the key."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()[:32]


def client_address(request: HttpRequest) -> str:
    """Return the caller's address; the last hop's word counts only where a trusted proxy is configured."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if settings.TRUSTED_PROXY and forwarded:
        return str(forwarded.split(",")[-1].strip())
    return str(request.META.get("REMOTE_ADDR", ""))


def resolve_actor(request: HttpRequest, slug: str) -> Actor | None:
    """Return who is calling, or `None` where nobody is signed in.

    Raises
    ------
    NotFoundError
        Signed in, but not a member of this tenant.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return resolve_token(
            slug=slug, token=token.strip(), address=client_address(request), correlation_id=correlation_id()
        )
    user = request.user
    if not user.is_authenticated:
        return None
    return resolve_person(
        slug=slug,
        user_id=user.pk,
        address=client_address(request),
        session=session_digest(request.session.session_key),
        correlation_id=correlation_id(),
    )


class TenantAuthentication(BaseAuthentication):
    """REST framework's way in; a session must prove its origin on unsafe methods, a token need not."""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        http = request._request
        actor = resolve_actor(http, http.resolver_match.kwargs["tenant"])  # type: ignore[union-attr]  # a view runs behind a match
        if actor is None:
            return None
        if actor.user_id is not None:
            self._check_csrf(http)
        return http.user, actor

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _check_csrf(self, request: HttpRequest) -> None:
        check = CSRFCheck(lambda _: Response())
        check.process_request(request)
        reason = check.process_view(request, None, (), {})
        if reason:
            raise PermissionDenied("The request did not come from this site's own pages (CSRF check failed). Reload the page.")


class IsTenantActor(BasePermission):
    def has_permission(self, request: Request, view: object) -> bool:
        return isinstance(request.auth, Actor)

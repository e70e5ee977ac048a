"""From a request to an actor: session or bearer token, for the tenant in the address."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from gantry.foundation.web.correlation import correlation_id
from gantry.identity.public import client_address, session_digest
from gantry.kernel.actor import Actor
from gantry.tenancy.services import resolve_person, resolve_token


def resolve_actor(request: HttpRequest, slug: str) -> Actor | None:
    """Return who is calling, or `None` where nobody is signed in.

    Raises
    ------
    NotFoundError
        Signed in, but not a member of this tenant.
    """
    token = _bearer_token(request)
    if token is not None:
        return resolve_token(slug=slug, token=token, address=client_address(request), correlation_id=correlation_id())
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


def _bearer_token(request: HttpRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class TenantAuthentication(BaseAuthentication):
    """REST framework's way in; a session must prove its origin on unsafe methods, a token need not."""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        http = request._request  # noqa: SLF001 - the session belongs to the request beneath
        actor = resolve_actor(http, http.resolver_match.kwargs["tenant"])  # type: ignore[union-attr]  # a view runs behind a match
        if actor is None:
            return None
        # A person's own token is no cookie: no other site's page can make a browser send it.
        if _bearer_token(http) is None:
            self._check_csrf(http)
        return http.user, actor

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _check_csrf(self, request: HttpRequest) -> None:
        check = CSRFCheck(lambda _: Response())
        check.process_request(request)
        reason = check.process_view(request, None, (), {})  # type: ignore[arg-type]  # no view is exempt
        if reason:
            raise PermissionDenied(
                "The request did not come from this site's own pages (CSRF check failed). Reload the page."
            )


class IsTenantActor(BasePermission):
    def has_permission(self, request: Request, view: object) -> bool:
        return isinstance(request.auth, Actor)

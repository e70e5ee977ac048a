"""Who stands at the door: session with origin check, or bearer token. Nothing of the body is read here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from django.conf import settings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gantry.dicomweb.errors import ForeignOriginError
from gantry.foundation.scope import tenant_scope
from gantry.foundation.threads import in_thread
from gantry.foundation.web.correlation import HEADER, begin_correlation, correlation_id
from gantry.foundation.web.problems import MEDIA_TYPE, UnauthenticatedError, answer_error, problem_headers
from gantry.identity.public import peer_address, resolve_session
from gantry.kernel.actor import Actor
from gantry.kernel.errors import GantryError, NotFoundError
from gantry.kernel.vocabulary import Scope
from gantry.tenancy.public import require_scope, resolve_person, resolve_token

Endpoint = Callable[[Request, Actor], Awaitable[Response]]

#: What a confined token must be for, by method: a router that may store finds and reads nothing.
_READ = frozenset({Scope.DICOMWEB_READ})
_SCOPES = {"POST": frozenset({Scope.DICOMWEB_STORE})}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def endpoint(handler: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """Make a handler an endpoint: resolve the actor, run it in its scope, answer errors as problems."""

    async def answer(request: Request) -> Response:
        begin_correlation(request.headers.get(HEADER))
        try:
            if "\0" in request.scope["path"]:
                raise NotFoundError  # nothing has such a name, and the database takes none
            actor = await in_thread(_resolve, request)
            with tenant_scope(actor):
                require_scope(actor, _SCOPES.get(request.method, _READ))
                response = await handler(request, actor)
        except Exception as error:  # noqa: BLE001 - every error becomes an answer
            response = await _problem(error)
        return _guard(response)

    return answer


async def refuse(request: Request, error: GantryError) -> Response:
    """Answer for an address or a method that the door does not have."""
    begin_correlation(request.headers.get(HEADER))
    return _guard(await _problem(error))


async def _problem(error: Exception) -> Response:
    status, body = await in_thread(answer_error, error)
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=problem_headers(status))


def _guard(response: Response) -> Response:
    response.headers[HEADER] = correlation_id()
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _resolve(request: Request) -> Actor:
    slug = request.path_params["tenant"]
    peer = request.client.host if request.client else ""
    address = peer_address(peer, request.headers.get("X-Forwarded-For", ""))
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    actor: Actor | None = None
    if scheme.lower() == "bearer":
        actor = resolve_token(slug=slug, token=token.strip(), address=address, correlation_id=correlation_id())
    else:
        cookie = request.cookies.get(settings.SESSION_COOKIE_NAME, "")
        session = resolve_session(cookie) if cookie else None
        if session is not None:
            if request.method not in _SAFE_METHODS:
                _require_own_origin(request)
            actor = resolve_person(
                slug=slug,
                user_id=session.user_id,
                address=address,
                session=session.session_digest,
                correlation_id=correlation_id(),
            )
    if actor is None:
        raise UnauthenticatedError
    return actor


def _require_own_origin(request: Request) -> None:
    origin = request.headers.get("Origin", "").rstrip("/")
    parts = urlsplit(origin)
    own_host = parts.netloc == request.headers.get("Host") and (parts.hostname or "") in settings.ALLOWED_HOSTS
    if not origin or not (own_host or origin in settings.CSRF_TRUSTED_ORIGINS):
        raise ForeignOriginError(
            "A signed-in session can change things from this site's own pages only. Other programs use an access token."
        )

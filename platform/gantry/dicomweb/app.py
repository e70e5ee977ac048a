"""The DICOM door: an ASGI app of its own, before Django, because Django would spool whole bodies to disk."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from django.conf import settings
from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gantry.dicomweb.entry import endpoint, refuse
from gantry.dicomweb.rendered import rendered, thumbnail
from gantry.dicomweb.retrieve import retrieve
from gantry.dicomweb.search import search_for_series, search_for_studies
from gantry.dicomweb.store import Limiter, store
from gantry.foundation.web.problems import NoSuchMethodError
from gantry.kernel.errors import NotFoundError
from gantry.studies.public import ParserPool

_PATH = re.compile(r"^/t/[^/]+/dicomweb(/|$)")
_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"

ROUTES: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]]], ...] = (
    ("POST", "/studies", endpoint(store)),
    ("POST", _STUDY, endpoint(store)),
    ("GET", "/studies", endpoint(search_for_studies)),
    ("GET", "/series", endpoint(search_for_series)),
    ("GET", f"{_STUDY}/series", endpoint(search_for_series)),
    ("GET", _STUDY, endpoint(retrieve)),
    ("GET", _SERIES, endpoint(retrieve)),
    ("GET", _INSTANCE, endpoint(retrieve)),
    ("GET", f"{_STUDY}/rendered", endpoint(rendered)),
    ("GET", f"{_SERIES}/rendered", endpoint(rendered)),
    ("GET", f"{_INSTANCE}/rendered", endpoint(rendered)),
    ("GET", f"{_INSTANCE}/frames/{{frame}}/rendered", endpoint(rendered)),
    ("GET", f"{_STUDY}/thumbnail", endpoint(thumbnail)),
    ("GET", f"{_SERIES}/thumbnail", endpoint(thumbnail)),
    ("GET", f"{_INSTANCE}/thumbnail", endpoint(thumbnail)),
    ("GET", f"{_INSTANCE}/frames/{{frame}}/thumbnail", endpoint(thumbnail)),
)


def build_app(parsers: ParserPool) -> Starlette:
    """Return the door as a Starlette application."""
    routes = [Route(path, handler, methods=[method]) for method, path, handler in ROUTES]
    app = Starlette(
        routes=[Mount("/t/{tenant}/dicomweb", routes=routes)], exception_handlers={404: _absent, 405: _no_such_method}
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.ALLOWED_HOSTS, www_redirect=False)
    app.state.limiter = Limiter(parsers)
    return app


async def _absent(request: Request, _error: Exception) -> Response:
    return await refuse(request, NotFoundError())


async def _no_such_method(request: Request, _error: Exception) -> Response:
    response = await refuse(request, NoSuchMethodError("This address cannot be asked with this method."))
    response.headers["Allow"] = "GET, POST"
    return response


def door(inner: ASGIApp) -> ASGIApp:
    """Put the door before another application: its addresses never reach that one."""
    app = build_app(ParserPool())

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _PATH.match(scope["path"]):
            # Mounted with its own root, so that `base_url` is the site's.
            await app(scope, receive, send)
        else:
            await inner(scope, receive, send)

    return application

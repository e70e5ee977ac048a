"""The process's one ASGI application: the pods' and the DICOM door before Django, WebSockets beside it."""

from __future__ import annotations

from typing import Any

import django

from gantry.config.env import use_settings

use_settings()
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - needs a configured Django
from channels.sessions import CookieMiddleware  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402

from gantry.dicomweb.app import door  # noqa: E402
from gantry.foundation.web.tracing import traced  # noqa: E402
from gantry.viewing.internal import pods_only  # noqa: E402
from gantry.viewing.routing import websocket_urlpatterns  # noqa: E402

#: Django types ASGI more narrowly than Starlette does.
pages: Any = get_asgi_application()
application = ProtocolTypeRouter(
    {
        "http": traced(pods_only(door(pages))),
        "websocket": CookieMiddleware(URLRouter(websocket_urlpatterns)),
    }
)

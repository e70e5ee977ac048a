from typing import Any

from django.urls import path

from gantry.viewing.realtime import EventsConsumer
from gantry.viewing.render_proxy import render_proxy

#: A bare ASGI application: Django's types know views alone.
_render: Any = render_proxy

websocket_urlpatterns = [
    path("t/<slug:tenant>/ws/v1/events", EventsConsumer.as_asgi()),
    path("t/<slug:tenant>/render/v1/<uuid:series_id>", _render),
]

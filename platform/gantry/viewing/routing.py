from django.urls import path

from gantry.viewing.realtime import EventsConsumer

websocket_urlpatterns = [path("t/<slug:tenant>/ws/v1/events", EventsConsumer.as_asgi())]

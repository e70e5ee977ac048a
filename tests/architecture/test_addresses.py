"""No address carries patient data: what it may hold are ids of ours and DICOM UIDs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

from gantry.dicomweb.app import ROUTES
from gantry.viewing.routing import websocket_urlpatterns

PATIENT_DATA = re.compile(r"patient|\bname\b|birth|\bsex\b|accession|\bmrn\b|issuer|physician", re.IGNORECASE)
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
OURS = re.compile(r"^(\w+_id|tenant)$")
#: Words of a closed list: which side of an agreement.
WORDS = {"side"}


def _routes(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route


DJANGO = [route for route in _routes(get_resolver().url_patterns) if not route.startswith("accounts/")]
SOCKETS = [str(pattern.pattern) for pattern in websocket_urlpatterns]
DOOR = [route for _, route, _ in ROUTES]


def test_address_names_no_patient_data() -> None:
    assert len(DJANGO) > 10
    assert SOCKETS
    assert DOOR
    for route in (*DJANGO, *SOCKETS, *DOOR):
        assert not PATIENT_DATA.search(route.replace("_", " ")), route


def test_parameter_is_an_id_of_ours() -> None:
    for route in (*DJANGO, *SOCKETS):
        for converter, name in PARAMETER.findall(route):
            if name in WORDS:
                continue
            assert OURS.match(name), route
            assert converter == ("slug" if name == "tenant" else "uuid"), route

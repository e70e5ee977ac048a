"""The OpenAPI document says what there is: every address of the API, by name, and how to come in."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern

from gantry.config import api

pytestmark = pytest.mark.usefixtures("database")

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document(database: None) -> Any:
    answer = Client().get("/api/schema.json")
    assert answer.status_code == 200
    return json.loads(answer.content)


def _addresses() -> set[str]:
    found = set()
    for pattern in api.urlpatterns:
        # Server-Sent Events are no REST view and told in prose; an address for what is not there is none.
        if isinstance(pattern, URLPattern) and hasattr(pattern.callback, "view_class"):
            route = re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern))
            found.add(f"/t/{{tenant}}/api/v1/{route}")
    return found


def test_document_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1")


def test_every_address_is_described_and_no_other(document: Any) -> None:
    assert set(document["paths"]) == _addresses()


def test_every_operation_has_a_name_of_its_own_and_a_way_in(document: Any) -> None:
    operations = [
        operation for item in document["paths"].values() for method, operation in item.items() if method in METHODS
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) >= 14
    schemes = document["components"]["securitySchemes"]
    for operation in operations:
        assert operation["description"]
        named = {name for way in operation["security"] for name in way}
        assert named and named <= set(schemes)

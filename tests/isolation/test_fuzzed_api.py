"""Whatever is sent to the documented API: no server error, and no word of another tenant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from fuzz_api import ask_all, make_fuzzed, snapshot

pytestmark = pytest.mark.usefixtures("database")


def test_no_request_breaks_the_site_or_learns_of_another_tenant(cluster: Any) -> None:
    document = json.loads(Client().get("/api/schema.json").content)
    fuzzed = make_fuzzed(cluster, document)
    before = snapshot(cluster, fuzzed.other)
    answers = ask_all(fuzzed, examples=8, start=3)
    assert answers.broken == []
    assert answers.leaked == []
    assert snapshot(cluster, fuzzed.other) == before
    for status in (200, 400, 403, 404):  # it went everywhere
        assert answers.statuses[status] > 20, answers.statuses

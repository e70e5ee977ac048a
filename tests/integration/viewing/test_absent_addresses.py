"""An address that there is not: problem+json for programs, a page for people, the same from both doors."""

from __future__ import annotations

import pytest

from gantry.kernel.vocabulary import Role
from site_client import by_token
from world import make_world

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/dicomweb/nothing", "/dicomweb/studies/1.2/nothing"])
def test_unknown_address_answers_a_problem(path: str) -> None:
    answer = by_token(make_world(), Role.INTEGRATOR).get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert answer.json()["correlation_id"] == answer.headers["X-Correlation-Id"]


@pytest.mark.parametrize("path", ["/api/v1/me", "/dicomweb/studies"])
def test_wrong_method_answers_a_problem(path: str) -> None:
    answer = by_token(make_world(), Role.INTEGRATOR).request("PATCH", path)
    assert answer.status_code == 405
    assert answer.json()["code"] == "request.method"
    assert "GET" in answer.headers["Allow"]

"""States of a render session, and where its pods are."""

from __future__ import annotations

import pytest

from gantry.viewing.domain import NEXT, RenderState, RenderStep, states_before
from gantry.viewing.pods import Endpoint


def test_nothing_follows_the_end() -> None:
    assert not [state for state, _ in NEXT if state is RenderState.ENDED]


def test_only_a_redeemed_session_is_held_and_can_be_released() -> None:
    assert states_before(RenderStep.RELEASE) == (RenderState.REDEEMED,)
    assert {NEXT[state, RenderStep.REDEEM] for state in states_before(RenderStep.REDEEM)} == {RenderState.REDEEMED}


def test_issuing_takes_a_session_from_nobody() -> None:
    assert all(NEXT[state, RenderStep.ISSUE] is state for state in states_before(RenderStep.ISSUE))


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("http://pods:8010", Endpoint("pods", 8010), "pods:8010"),
        ("https://pods", Endpoint("pods", 443, is_tls=True), "pods:443"),
        ("unix:/run/render.sock", Endpoint(socket="/run/render.sock"), "localhost"),
    ],
)
def test_endpoint_is_what_its_url_says(url: str, expected: Endpoint, authority: str) -> None:
    assert Endpoint.parse(url) == expected
    assert expected.authority == authority

"""The environment is read once, and what cannot be stops the process with a sentence."""

from __future__ import annotations

import pytest

from gantry.config.env import ConfigurationError, parse_environment

LEAST = {
    "GANTRY_SECRET_KEY": "x",
    "GANTRY_CONTEXT_KEY": "00" * 32,
    "GANTRY_JOB_KEY": "00" * 32,
    "GANTRY_DATABASE__HOST": "nowhere",
}
RENDER = {
    "GANTRY_RENDER__URL": "http://pods:8010/",
    "GANTRY_RENDER__POD_KEY": "k" * 32,
    "GANTRY_RENDER__TICKET_KEY": "01" * 32,
}


def test_render_service_is_none_when_nothing_is_said_of_it() -> None:
    found = parse_environment(LEAST)
    assert (found.render_url, found.render_pod_keys, found.render_ticket_key) == ("", {}, b"")


@pytest.mark.parametrize("url", ["http://pods:8010/", "https://pods", "unix:/run/render.sock"])
def test_render_service_is_where_the_url_says(url: str) -> None:
    found = parse_environment({**LEAST, **RENDER, "GANTRY_RENDER__URL": url})
    assert found.render_url == url.rstrip("/")
    assert found.render_ticket_key == bytes.fromhex("01" * 32)


def test_pods_share_a_key_or_have_one_each() -> None:
    one, two = "1" * 32, "2" * 32
    shared = parse_environment({**LEAST, **RENDER})
    assert shared.render_pod_keys == {"": "k" * 32}
    each = parse_environment({**LEAST, **RENDER, "GANTRY_RENDER__POD_KEY": f"render-0={one}, render-1={two}"})
    assert each.render_pod_keys == {"render-0": one, "render-1": two}


@pytest.mark.parametrize(
    "changed",
    [
        {"GANTRY_RENDER__URL": "pods:8010"},
        {"GANTRY_RENDER__URL": "unix:render.sock"},
        {"GANTRY_RENDER__POD_KEY": "short"},
        {"GANTRY_RENDER__POD_KEY": ""},
        {"GANTRY_RENDER__POD_KEY": f"render-0={'1' * 32},render-1=short"},
        {"GANTRY_RENDER__POD_KEY": f"render-0={'1' * 32},render-0={'2' * 32}"},
        {"GANTRY_RENDER__POD_KEY": f"render-0={'1' * 32},render-1={'1' * 32}"},
        {"GANTRY_RENDER__POD_KEY": f"render-0={'1' * 32},{'2' * 32}"},
        {"GANTRY_RENDER__POD_KEY": f"a pod={'1' * 32}"},
        {"GANTRY_RENDER__TICKET_KEY": ""},
        {"GANTRY_RENDER__TICKET_KEY": "01" * 33},
        {"GANTRY_RENDER__TICKET_KEY": "no hexadecimal"},
        {"GANTRY_RENDER__URLS": "http://pods:8010"},
    ],
)
def test_process_stops_when_the_render_service_is_described_badly(changed: dict[str, str]) -> None:
    assert parse_environment({**LEAST, **RENDER})
    with pytest.raises(ConfigurationError) as stopped:
        parse_environment({**LEAST, **RENDER, **changed})
    assert str(stopped.value).startswith("gantry: ")


def test_keys_of_pods_are_known_where_one_environment_serves_both() -> None:
    assert parse_environment({**LEAST, "GANTRY_RENDER__SOCKET": "/run/render.sock", "GANTRY_RENDER__ORIGINS": "x"})

"""Nothing gets into the platform without a line that says what it leaves in the audit trail (reliability.md §9.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from django.urls import URLPattern, URLResolver, get_resolver
from procrastinate.contrib.django import app as queue

from gantry.audit.vocabulary import ACTIONS
from gantry.cli.main import app
from gantry.config import audit_coverage as coverage
from gantry.config.audit_coverage import NONE, Coverage
from gantry.dicomweb.app import ROUTES as DICOMWEB_ROUTES
from gantry.viewing.internal import ROUTES as INTERNAL_ROUTES
from gantry.viewing.realtime import EventsConsumer
from gantry.viewing.routing import websocket_urlpatterns
from gantry_render.protocol import CLIENT_MESSAGE_TYPES

METHODS = ("get", "post", "put", "patch", "delete")


def _template(route: str) -> str:
    for converter in ("uuid", "slug", "str", "int"):
        route = route.replace(f"<{converter}:", "{")
    return route.replace(">", "}")


def _patterns(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield _template(prefix + str(pattern.pattern)), pattern.callback


#: django-allauth's views that answer a GET by a page and do nothing on POST, though their class has the method.
_NO_POST = {"accounts/inactive/", "accounts/2fa/", "accounts/2fa/recovery-codes/"}


def _methods(route: str, view: Any) -> set[str]:
    view_class = getattr(view, "cls", getattr(view, "view_class", None))
    if view_class is None:
        return {"GET"}
    found = {name.upper() for name in METHODS if name in view_class.http_method_names and hasattr(view_class, name)}
    # FormView answers PUT as POST; nothing of ours sends it.
    found -= {"PUT"} if route.startswith("accounts/") else set()
    return found - {"POST"} if route in _NO_POST else found


def _commands(group: Any, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield before + name


def _lines() -> Iterator[tuple[str, Coverage]]:
    for key, line in coverage.ROUTES.items():
        yield " ".join(key), line
    for key, line in coverage.DICOMWEB.items():
        yield " ".join(key), line
    yield from coverage.INTERNAL.items()
    for address, messages in coverage.SOCKETS.items():
        for kind, line in messages.items():
            yield f"{address} {kind}", line
    yield from coverage.JOBS.items()
    yield from coverage.COMMANDS.items()


def test_every_address_has_its_line() -> None:
    found = {
        (method, route) for route, view in _patterns(get_resolver().url_patterns) for method in _methods(route, view)
    }
    assert found == set(coverage.ROUTES)


def test_every_dicomweb_address_has_its_line() -> None:
    assert {(method, path) for method, path, _ in DICOMWEB_ROUTES} == set(coverage.DICOMWEB)


def test_every_internal_address_has_its_line() -> None:
    assert set(INTERNAL_ROUTES) == set(coverage.INTERNAL)


def test_every_socket_and_message_has_its_line() -> None:
    assert [_template(str(pattern.pattern)) for pattern in websocket_urlpatterns] == list(coverage.SOCKETS)
    events, render = coverage.SOCKETS.values()
    assert set(events) == {"", *EventsConsumer.MESSAGES}
    assert set(render) == {"", *CLIENT_MESSAGE_TYPES}


def test_every_job_has_its_line() -> None:
    ours = {name for name in queue.tasks if "builtin" not in name and not name.startswith("test")}
    assert ours == set(coverage.JOBS)


def test_every_command_has_its_line() -> None:
    assert set(_commands(typer.main.get_group(app))) == set(coverage.COMMANDS)


@pytest.mark.parametrize(("what", "line"), list(_lines()), ids=lambda value: str(value)[:60])
def test_line_names_known_actions_or_a_reason(what: str, line: Coverage) -> None:
    if isinstance(line, NONE):
        assert len(line.reason.split()) >= 4, "a reason is a sentence"
    else:
        assert line and set(line) <= set(ACTIONS)


def test_every_action_of_the_vocabulary_reads_as_a_sentence() -> None:
    for action, act in ACTIONS.items():
        assert act.sentence.endswith("."), action
        assert act.crud in {"C", "R", "U", "D", "E"}, action
        assert len(action) <= 64, action

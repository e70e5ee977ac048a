"""A real render pod, a process of its own, that asks the real site: opened by a ticket, and what it tells of bad ones."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from analysed import load_study
from audit_trail import Trail
from gantry.config.env import environment
from gantry.foundation.scope import tenant_scope
from gantry.kernel.vocabulary import Role
from gantry.studies.models import Series
from gantry.studies.packs import pack_series
from gantry.studies.public import request_pack
from gantry.viewing.tickets import open_ticket, sign_ticket
from gantry_render.protocol import CloseCode, Hello, StackState, join_ticket, split_ticket
from render_door import render_door
from render_peer import ORIGIN, Client, Pod, RenderPeer, open_socket
from site_client import application, by_token, run
from world import World, make_world

pytestmark = pytest.mark.usefixtures("database")

WITHIN_S = 30.0
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def site(database: None) -> Iterator[str]:
    """The site on a port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(), lifespan="off", log_level="error"))

    async def serve() -> None:
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: run(serve(), timeout_s=600), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(WITHIN_S)


@pytest.fixture(scope="module")
def pod(site: str) -> Iterator[Pod]:
    key = Ed25519PrivateKey.from_private_bytes(settings.RENDER_TICKET_KEY).public_key().public_bytes_raw().hex()
    with (
        RenderPeer() as peer,
        peer.start_pod(
            control_url=site,
            pod_key=settings.RENDER_POD_KEYS[""],
            ticket_public_key=key,
            pod_name="pod-real",
            GANTRY_OBJECTS__DIRECTORY=str(environment().objects_directory),
            GANTRY_TELEMETRY__EXPORTER="console",
            OTEL_BSP_SCHEDULE_DELAY="50",
        ) as pod,
    ):
        yield pod


@dataclass(frozen=True)
class Opened:
    world: World
    series_id: str
    ticket: str
    late: str


@pytest.fixture
def opened(database: None) -> Opened:
    """A packed series with a good ticket, asked for within `TRACE`, and one that has run out."""
    world = make_world()
    loaded = load_study(world, 4)
    with world.reading():
        series_id = Series.objects.get(series_instance_uid=loaded.series_uid).pk
    with tenant_scope(world.system):
        request_pack(series_id=series_id)
        pack_series(series_id=series_id)

    path = f"/api/v1/studies/{loaded.study_id}/series/{series_id}/render-session"
    with render_door():
        reader = by_token(world, Role.RADIOLOGIST)
        answer = reader.post(path, json={}, headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    ticket = str(answer.json()["ticket"])
    late = sign_ticket(dataclasses.replace(open_ticket(ticket), expires_at=1))
    return Opened(world, str(series_id), ticket, late)


async def knock(pod: Pod, series_id: str, ticket: str) -> Client:
    client = await open_socket(pod.port, series_id, ORIGIN)
    await client.send(Hello(ticket))
    return client


def forge(ticket: str) -> str:
    return join_ticket(split_ticket(ticket)[0], Ed25519PrivateKey.generate().sign(b"anything"))


def wait_for(ask: Callable[[], list[Any]]) -> list[Any]:
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        found = ask()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("It was not recorded.")


async def test_pod_opens_a_series_by_its_ticket(pod: Pod, opened: Opened) -> None:
    async with await knock(pod, opened.series_id, opened.ticket) as client:
        assert len((await client.welcome())["frames"]) == 4


async def test_trace_of_the_request_goes_on_to_the_frame(pod: Pod, opened: Opened) -> None:
    async with await knock(pod, opened.series_id, opened.ticket) as client:
        await client.welcome()
        await client.look(StackState(1, (64, 64)))
        await client.next_frame()

    def of_the_trace() -> list[Any]:
        spans = [span for span in written_spans(pod) if span["context"]["trace_id"] == f"0x{TRACE}"]
        return spans if {span["name"] for span in spans} >= {"render.open", "render.frame"} else []

    spans = wait_for(of_the_trace)
    assert {f"render.frame.{stage}" for stage in ("queued", "render", "encode")} < {span["name"] for span in spans}
    text = json.dumps(spans)
    assert not any(secret in text for secret in (opened.ticket, opened.series_id, str(opened.world.tenant_id)))


def written_spans(pod: Pod) -> list[dict[str, Any]]:
    """Return the spans in a pod's log, among its lines."""
    text, spans, at = pod.log.read_text(), [], 0
    while (at := text.find('{\n    "name"', at)) >= 0:
        try:
            span, at = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            break  # it is being written
        spans.append(span)
    return spans


async def test_forged_ticket_that_a_pod_refuses_is_recorded(
    pod: Pod, opened: Opened, connect: Callable[[str], Any]
) -> None:
    forged = forge(opened.ticket)
    async with await knock(pod, opened.series_id, forged) as client:
        code, bye = await client.closed()
    assert (code, bye and bye["code"]) == (CloseCode.TICKET_REFUSED, "ticket.forged")

    def ask() -> list[Any]:
        with connect("owner") as connection:
            rows = connection.execute(
                "select kind, outcome, detail from audit_platformevent "
                "where action = 'render_ticket.refused' and detail->>'pod' = 'pod-real'"
            )
            return list(rows)

    ((kind, outcome, detail),) = wait_for(ask)
    assert (kind, outcome) == ("security_alert", "refused")
    assert detail == {"code": "ticket.forged", "pod": "pod-real"}


async def test_late_ticket_that_a_pod_refuses_is_recorded_with_its_tenant(
    pod: Pod, opened: Opened, trail_of: Callable[[World], Trail]
) -> None:
    trail = trail_of(opened.world)
    async with await knock(pod, opened.series_id, opened.late) as client:
        assert (await client.closed())[0] == CloseCode.TICKET_REFUSED
    (event,) = wait_for(trail.new)
    assert (event["kind"], event["action"]) == ("security_alert", "render_ticket.refused")
    assert event["detail"]["code"] == "ticket.expired"
    assert event["detail"]["series_id"] == opened.series_id
    assert opened.late not in str(event)

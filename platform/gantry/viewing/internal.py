"""Where render pods ask: `/internal/render/v1/{redeem,lease,release,refused}`.

Only a pod's key opens these addresses; without it they are not there. Where each pod has its own, it speaks for that
pod alone. Edges do not route them (docs/operations.md).
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings

from gantry.foundation.boundary import record_refusal
from gantry.foundation.threads import in_reserved_thread
from gantry.foundation.web.correlation import HEADER, begin_correlation
from gantry.foundation.web.problems import answer_error
from gantry.kernel.decision import Refused
from gantry.viewing.errors import SessionEndedError, TicketRefusedError
from gantry.viewing.leases import release_sessions, renew_leases
from gantry.viewing.origins import header
from gantry.viewing.pod_alerts import RefusedTicket, record_misnamed_pod, record_reported_tickets
from gantry.viewing.render_sessions import Manifest, ObjectRef, redeem_ticket
from gantry_render.protocol import MAX_REPORTED_TICKETS, POD_NAME, TICKET_REFUSALS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger(__name__)

PREFIX = "/internal/render/v1/"
MAX_BODY_BYTES = 64 * 1024
MAX_SESSIONS = 1000
_MOST_COUNTED = 1_000_000_000


class MalformedError(Exception):
    """What a pod sent is not what it should send."""


class _MisnamedError(Exception):
    """A pod shows its own key and another's name."""

    def __init__(self, claimed: str) -> None:
        super().__init__()
        self.claimed = claimed


def pods_only(inner: App) -> App:
    """Put the pods' addresses before another application, which answers everybody who shows no pod's key."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        call = _CALLS.get(scope["path"].removeprefix(PREFIX)) if scope["type"] == "http" else None
        is_meant = call is not None and scope["path"].startswith(PREFIX) and scope["method"] == "POST"
        owner = _key_owner(scope) if is_meant else None
        if call is None or owner is None:
            await inner(scope, receive, send)
            return
        begin_correlation(header(scope, HEADER.lower().encode()))
        try:
            data = await _read(receive)
            status, body = await call(_require_pod(data, owner), data)
        except MalformedError:
            status, body = 400, {"code": "request.invalid", "sentence": "This is not what is to be sent here."}
        except _MisnamedError as error:
            await in_reserved_thread(record_misnamed_pod, owner=owner, claimed=error.claimed)
            status, body = 403, {"code": "pod.misnamed", "sentence": "This key belongs to another pod."}
        except Exception as error:  # noqa: BLE001 - every error becomes an answer
            status, problem = await in_reserved_thread(answer_error, error)
            body = {"code": problem["code"], "sentence": problem["detail"]}
        await _answer(send, status, body)

    return application


def _key_owner(scope: Scope) -> str | None:
    """Return the pod whose key is shown, empty where all pods share one, and None without any."""
    scheme, _, key = header(scope, b"authorization").partition(" ")
    shown, owner = key.strip().encode(), None
    # All are compared, even where none is configured or offered, so that the time tells nothing.
    for name, expected in (settings.RENDER_POD_KEYS or {"": ""}).items():
        if hmac.compare_digest(shown, expected.encode()) and expected:
            owner = name
    return owner if scheme.lower() == "bearer" else None


async def _read(receive: Receive) -> dict[str, Any]:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise MalformedError
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise MalformedError
        if not message.get("more_body", False):
            break
    try:
        data = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise MalformedError from None
    if not isinstance(data, dict):
        raise MalformedError
    return data


async def _answer(send: Send, status: int, body: dict[str, Any] | None) -> None:
    data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    headers.append((b"content-length", str(len(data)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _require_pod(data: dict[str, Any], owner: str) -> str:
    """Return which pod asks: whoever says so where pods share a key, and the key's owner alone where they do not."""
    pod = data.get("pod")
    if not isinstance(pod, str) or not re.fullmatch(POD_NAME, pod):
        raise MalformedError
    if owner and pod != owner:
        raise _MisnamedError(pod)
    return pod


def _sessions(data: dict[str, Any]) -> list[UUID]:
    sessions = data.get("sessions")
    if not isinstance(sessions, list) or len(sessions) > MAX_SESSIONS:
        raise MalformedError
    try:
        return [UUID(one) for one in sessions]
    except (ValueError, TypeError, AttributeError):
        raise MalformedError from None


async def _redeem(pod: str, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    ticket = data.get("ticket")
    if not isinstance(ticket, str):
        raise MalformedError
    try:
        return 200, manifest_row(await in_reserved_thread(redeem_ticket, ticket=ticket, pod=pod))
    except (TicketRefusedError, SessionEndedError) as error:
        return 403, {"code": error.code, "sentence": str(error)}
    except Refused as refused:
        await in_reserved_thread(record_refusal, refused)
        if refused.decision.is_hidden:
            return 403, {"code": "session.absent", "sentence": "This series is not, or no longer, yours to see."}
        return 403, {"code": refused.code, "sentence": str(refused), "clause": refused.decision.clause}


async def _lease(pod: str, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    ended = await in_reserved_thread(renew_leases, pod=pod, session_ids=_sessions(data))
    rows = [{"session": str(one.session_id), "code": one.code, "sentence": one.sentence} for one in ended]
    return 200, {"ended": rows}


async def _release(pod: str, data: dict[str, Any]) -> tuple[int, None]:
    await in_reserved_thread(release_sessions, pod=pod, session_ids=_sessions(data))
    return 204, None


async def _refused(pod: str, data: dict[str, Any]) -> tuple[int, None]:
    rows = data.get("tickets")
    if not isinstance(rows, list) or len(rows) > MAX_REPORTED_TICKETS:
        raise MalformedError
    await in_reserved_thread(record_reported_tickets, pod=pod, tickets=[_refused_ticket(row) for row in rows])
    return 204, None


def _refused_ticket(row: Any) -> RefusedTicket:
    if not isinstance(row, dict):
        raise MalformedError
    ticket, code, count = row.get("ticket"), row.get("code"), row.get("count")
    if not isinstance(ticket, str) or code not in TICKET_REFUSALS:
        raise MalformedError
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_COUNTED:
        raise MalformedError
    return RefusedTicket(ticket, code, count)


_CALLS: dict[str, Callable[[str, dict[str, Any]], Awaitable[tuple[int, dict[str, Any] | None]]]] = {
    "redeem": _redeem,
    "lease": _lease,
    "release": _release,
    "refused": _refused,
}
#: For tests of the addresses.
ROUTES = tuple(f"{PREFIX}{name}" for name in _CALLS)


def manifest_row(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as a pod reads it. It holds keys: it is sent, and never logged."""
    return {
        "session": str(manifest.session_id),
        "tenant_id": str(manifest.tenant_id),
        "study_id": str(manifest.study_id),
        "series_id": str(manifest.series_id),
        "modality": manifest.modality,
        "lease_ends_s": manifest.lease_ends_s,
        "pack": _object_row(manifest.pack),
        "results": [
            {
                "id": str(shape.instance.pk),
                "label": shape.label,
                "colour": list(shape.colour),
                "is_reviewed": shape.is_reviewed,
                "kind": shape.kind,
                "object": _object_row(ref),
            }
            for shape, ref in manifest.shapes
        ],
    }


def _object_row(ref: ObjectRef) -> dict[str, Any]:
    return {
        "tenant_id": str(ref.tenant_id),
        "object_id": str(ref.object_id),
        "size_bytes": ref.size_bytes,
        "data_key": base64.b64encode(ref.data_key.reveal()).decode(),
    }

"""An analysis's progress as Server-Sent Events, for clients without WebSocket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse

from gantry.analyses.public import State, open_analysis
from gantry.foundation.scope import tenant_scope
from gantry.foundation.threads import in_thread
from gantry.foundation.web.problems import UnauthenticatedError, problem_response
from gantry.identity.public import is_session_alive
from gantry.kernel.actor import Actor
from gantry.kernel.errors import GantryError
from gantry.kernel.vocabulary import Scope
from gantry.tenancy.public import require_scope, resolve_actor

_OVER = frozenset({State.DONE, State.FAILED, State.NOT_ANALYSED})
_LOOK_EVERY_S = 0.5
_KEEP_ALIVE_S = 15.0


async def inference_events(request: HttpRequest, tenant: str, analysis_id: UUID) -> HttpResponseBase:
    """Stream `state` events until the analysis is over. Permission is asked again at every look."""
    if request.method != "GET":
        return JsonResponse({"detail": "Use GET."}, status=405)
    try:
        actor = await in_thread(_resolve, request, tenant)
        first = await in_thread(_look, actor, analysis_id)
    except Exception as error:  # noqa: BLE001 - every error becomes an answer
        return await in_thread(problem_response, error)
    response = StreamingHttpResponse(_stream(request, tenant, analysis_id, first), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _resolve(request: HttpRequest, tenant: str) -> Actor:
    actor = resolve_actor(request, tenant)
    # A session may have ended since it opened the stream; a token is looked up anew each time.
    is_session = request.headers.get("Authorization") is None
    if actor is None or (is_session and not is_session_alive(actor.session)):
        raise UnauthenticatedError
    require_scope(actor, {Scope.INFERENCE})
    return actor


def _look(actor: Actor, analysis_id: UUID) -> dict[str, Any]:
    with tenant_scope(actor):
        analysis = open_analysis(actor=actor, analysis_id=analysis_id).analysis
    return {
        "id": str(analysis.pk),
        "state": analysis.state,
        "stage": analysis.stage,
        "progress": analysis.progress,
        "sentence": analysis.sentence,
    }


def _resolve_and_look(request: HttpRequest, tenant: str, analysis_id: UUID) -> dict[str, Any]:
    return _look(_resolve(request, tenant), analysis_id)


async def _stream(request: HttpRequest, tenant: str, analysis_id: UUID, state: dict[str, Any]) -> AsyncIterator[bytes]:
    said, said_at = None, time.monotonic()
    while True:
        if state != said:
            said, said_at = state, time.monotonic()
            yield f"event: state\ndata: {json.dumps(state)}\n\n".encode()
        elif time.monotonic() - said_at > _KEEP_ALIVE_S:
            said_at = time.monotonic()
            yield b": still there\n\n"
        if state["state"] in _OVER:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            state = await in_thread(_resolve_and_look, request, tenant, analysis_id)
        except GantryError as error:
            yield f"event: error\ndata: {json.dumps({'code': error.code})}\n\n".encode()
            return

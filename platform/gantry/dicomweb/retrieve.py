"""WADO-RS (PS3.18 §10.4): instances as they came, streamed. Pictures of them: `gantry.dicomweb.rendered`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gantry.dicomweb.errors import NotAcceptableError
from gantry.dicomweb.multipart import MultipartWriter
from gantry.dicomweb.watching import Permission
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.foundation.threads import in_thread
from gantry.identity.public import is_session_alive
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.errors import NotFoundError
from gantry.kernel.vocabulary import ActorKind, DataCategory
from gantry.studies.public import (
    OpenedInstance,
    end_transfer,
    open_instances,
    open_object,
    require_study,
    retrieval_action,
    retrieval_activity,
    visible_studies,
)
from gantry.tenancy.public import is_actor_current, is_token_alive
from gantry.vault.public import SealedReader

DICOM = "application/dicom"
_PREAMBLE_BYTES = 128


async def retrieve(request: Request, actor: Actor) -> Response:
    """Return the instances of a study or series, or one instance, as stored."""
    accepted = request.headers.get("Accept", "*/*").lower()
    is_single = "instance" in request.path_params
    wants_multipart = not accepted or "multipart/related" in accepted or "*/*" in accepted
    wants_plain = is_single and DICOM in accepted and "multipart/related" not in accepted
    if not wants_multipart and not wants_plain:
        raise NotAcceptableError('Instances come as multipart/related; type="application/dicom".')
    if "multipart/related" in accepted and DICOM not in accepted and "type=" in accepted:
        raise NotAcceptableError("Instances come as application/dicom; bulk data in other types cannot be had yet.")
    instances = await in_thread(
        open_instances,
        actor=actor,
        study_instance_uid=request.path_params["study"],
        series_instance_uid=request.path_params.get("series"),
        sop_instance_uid=request.path_params.get("instance"),
        activity=retrieval_activity(actor),
        action=retrieval_action(actor),
    )
    going_on = Permission(functools.partial(_ask_again, actor, instances[0].study_id))
    if wants_plain:
        reader = await in_thread(open_object, instances[0].ref)
        headers = {"Content-Length": str(reader.size_bytes)}
        body = _alone(instances, reader, actor, going_on)
        return StreamingResponse(body, media_type=DICOM, headers=headers)
    writer = MultipartWriter()
    # The first object is opened before the status line is out, so that a lost one is an answer, not a broken stream.
    first = await in_thread(open_object, instances[0].ref)
    body = _parts(instances, first, writer, actor, going_on)
    return StreamingResponse(body, media_type=writer.content_type(DICOM))


def _ask_again(actor: Actor, study_id: UUID) -> None:
    """Raise unless the sign-in holds and the gate still lets this actor have the study's images."""
    with tenant_scope(actor):
        is_signed_in = is_session_alive(actor.session) or is_token_alive(actor.session)
        if not is_signed_in or not is_actor_current(actor):
            raise NotFoundError
        with unit_of_work():
            require_study(
                actor,
                visible_studies(actor).filter(pk=study_id),
                activity=retrieval_activity(actor),
                category=DataCategory.PIXEL_DATA,
                clock=SYSTEM_CLOCK,
            )


async def _alone(
    instances: list[OpenedInstance], reader: SealedReader, actor: Actor, going_on: Permission
) -> AsyncIterator[bytes]:
    async with _recorded(instances, actor) as sent:
        async for chunk in _read(reader, instances[0], going_on):
            yield chunk
        sent.append(instances[0])


async def _parts(
    instances: list[OpenedInstance], first: SealedReader, writer: MultipartWriter, actor: Actor, going_on: Permission
) -> AsyncIterator[bytes]:
    async with _recorded(instances, actor) as sent:
        for at, instance in enumerate(instances):
            reader = first if at == 0 else await in_thread(open_object, instance.ref)
            content_type = f"{DICOM}; transfer-syntax={instance.transfer_syntax_uid}"
            yield writer.begin_part({"Content-Type": content_type, "Content-Length": str(reader.size_bytes)})
            async for chunk in _read(reader, instance, going_on):
                yield chunk
            sent.append(instance)
        yield writer.close()


@asynccontextmanager
async def _recorded(instances: list[OpenedInstance], actor: Actor) -> AsyncIterator[list[OpenedInstance]]:
    """Record how the sending ended, also when the receiver went away in the middle."""
    sent: list[OpenedInstance] = []
    try:
        yield sent
    finally:
        if actor.kind is not ActorKind.PERSON:
            ended = in_thread(_end, actor, instances[0].study_id, len(sent), len(instances))
            await asyncio.shield(asyncio.ensure_future(ended))


def _end(actor: Actor, study_id: UUID, sent: int, of: int) -> None:
    with tenant_scope(actor):
        end_transfer(actor=actor, study_id=study_id, sent=sent, of=of)


async def _read(reader: SealedReader, instance: OpenedInstance, going_on: Permission) -> AsyncIterator[bytes]:
    """Read an object in threads, verified chunk by chunk, as long as it may go on.

    A preamble is the sender's to fill and nobody's to read (PS3.10 §7.1): one that is no TIFF header is
    served as zeros, so that no file of ours begins like a program.
    """
    chunks: Iterator[bytes] = reader.iter_chunks()
    hides_preamble = instance.facts.get("preamble") == "other"
    try:
        while (chunk := await in_thread(next, chunks, None)) is not None:
            await going_on.renew()
            if hides_preamble:
                chunk, hides_preamble = bytes(_PREAMBLE_BYTES) + chunk[_PREAMBLE_BYTES:], False
            yield chunk
    finally:
        reader.close()

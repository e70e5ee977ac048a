"""WADO-RS (PS3.18 §10.4): instances as they came, streamed. Pictures of them: `gantry.dicomweb.rendered`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gantry.dicomweb.errors import NotAcceptableError
from gantry.dicomweb.multipart import MultipartWriter
from gantry.foundation.scope import tenant_scope
from gantry.foundation.threads import in_thread
from gantry.kernel.actor import Actor
from gantry.kernel.vocabulary import ActorKind
from gantry.studies.public import (
    OpenedInstance,
    end_transfer,
    open_instances,
    open_object,
    retrieval_action,
    retrieval_activity,
)
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
    if wants_plain:
        reader = await in_thread(open_object, instances[0].ref)
        headers = {"Content-Length": str(reader.size_bytes)}
        return StreamingResponse(_alone(instances, reader, actor), media_type=DICOM, headers=headers)
    writer = MultipartWriter()
    # The first object is opened before the status line is out, so that a lost one is an answer, not a broken stream.
    first = await in_thread(open_object, instances[0].ref)
    return StreamingResponse(_parts(instances, first, writer, actor), media_type=writer.content_type(DICOM))


async def _alone(instances: list[OpenedInstance], reader: SealedReader, actor: Actor) -> AsyncIterator[bytes]:
    async with _recorded(instances, actor) as sent:
        async for chunk in _read(reader, instances[0]):
            yield chunk
        sent.append(instances[0])


async def _parts(
    instances: list[OpenedInstance], first: SealedReader, writer: MultipartWriter, actor: Actor
) -> AsyncIterator[bytes]:
    async with _recorded(instances, actor) as sent:
        for at, instance in enumerate(instances):
            reader = first if at == 0 else await in_thread(open_object, instance.ref)
            content_type = f"{DICOM}; transfer-syntax={instance.transfer_syntax_uid}"
            yield writer.begin_part({"Content-Type": content_type, "Content-Length": str(reader.size_bytes)})
            async for chunk in _read(reader, instance):
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


async def _read(reader: SealedReader, instance: OpenedInstance) -> AsyncIterator[bytes]:
    """Read an object in threads, verified chunk by chunk.

    A preamble is the sender's to fill and nobody's to read (PS3.10 §7.1): one that is no TIFF header is
    served as zeros, so that no file of ours begins like a program.
    """
    chunks: Iterator[bytes] = reader.iter_chunks()
    hides_preamble = instance.facts.get("preamble") == "other"
    try:
        while (chunk := await in_thread(next, chunks, None)) is not None:
            if hides_preamble:
                chunk, hides_preamble = bytes(_PREAMBLE_BYTES) + chunk[_PREAMBLE_BYTES:], False
            yield chunk
    finally:
        reader.close()

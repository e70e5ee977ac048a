"""STOW-RS (PS3.18 §10.5): decide, then read; stage ciphertext while it arrives; then make it real at once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from opentelemetry import trace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from gantry.dicomweb.dicom_json import Item, encode
from gantry.dicomweb.errors import BusyError, MalformedBodyError, UnsupportedBodyError
from gantry.dicomweb.multipart import (
    ContentType,
    MultipartError,
    MultipartParser,
    PartBegin,
    PartData,
    PartEnd,
    parse_content_type,
)
from gantry.dicomweb.watching import while_allowed
from gantry.foundation.threads import in_thread
from gantry.kernel.actor import Actor
from gantry.studies.public import (
    IngestOutcome,
    MemFile,
    MemFileFullError,
    ParsedInstance,
    ParserPool,
    ParserUnavailableError,
    Received,
    Rejection,
    Status,
    open_ingest,
    store_batch,
)
from gantry.vault.public import SealedObject, get_vault

tracer = trace.get_tracer(__name__)

MEDIA_TYPE = "application/dicom+json"
INSTITUTION_HEADER = "Gantry-Institution"

#: Files parsed, encrypted and staged together, while the next ones arrive.
BATCH_FILES, BATCH_BYTES = 20, 32 * 1024 * 1024
#: Requests whose body is read at the same time, and the size beyond which a file has to be the only such one:
#: together they bound the memory that bodies may take.
CONCURRENT_BODIES, LARGE_FILE_BYTES = 6, 64 * 1024 * 1024
MAX_FILES = 10_000

#: Failure reasons of PS3.18 Table 10.5.3-2 (PS3.4 Table B.2-1): mismatch, cannot understand, duplicate, other.
_MISMATCH, _NOT_UNDERSTOOD, _DUPLICATE, _FAILURE = 0xA900, 0xC000, 0x0111, 0x0110
_REASONS = {
    "dicom.study_of_other_patient": _MISMATCH,
    "dicom.study_of_other_institution": _MISMATCH,
    "dicom.patient_differs_in_study": _MISMATCH,
    "dicom.series_in_other_study": _MISMATCH,
    "dicom.sop_uid_in_other_study": _MISMATCH,
    "dicom.study_mismatch": _MISMATCH,
    "dicom.sop_uid_conflict": _DUPLICATE,
    "dicom.too_large": _FAILURE,
    "dicom.parser_timeout": _FAILURE,
    "dicom.parser_memory": _FAILURE,
}


@dataclass
class Limiter:
    """The process's bounds on bodies in memory, and its parsers."""

    parsers: ParserPool
    bodies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT_BODIES))
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))


async def store(request: Request, actor: Actor) -> Response:
    """Store the instances of a request; every file is stored, known already, or in quarantine with a reason."""
    # The gate first: what may not be stored is not read.
    ask = functools.partial(open_ingest, actor=actor, institution_id=_institution(request))
    permit = await in_thread(ask)
    content_type = _content_type(request)
    limiter: Limiter = request.app.state.limiter
    wanted_study = request.path_params.get("study")
    receiver = _Receiver(actor, limiter, wanted_study)
    with tracer.start_as_current_span("stow.store") as span:
        try:
            async with limiter.bodies:
                await while_allowed(receiver.read(_files(request, content_type)), ask)
            received = receiver.received
            if not received:
                raise MalformedBodyError("The body holds no DICOM instance.")
            outcomes = await in_thread(store_batch, actor=actor, permit=permit, received=received)
        except BaseException:
            await receiver.drop()
            raise
        span.set_attribute("gantry.instances", len(outcomes))
    return _answer(request, outcomes)


def _institution(request: Request) -> UUID | None:
    text = request.headers.get(INSTITUTION_HEADER, "")
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise MalformedBodyError(f"The header {INSTITUTION_HEADER} is not the id of an institution.") from None


def _content_type(request: Request) -> ContentType:
    try:
        content_type = parse_content_type(request.headers.get("Content-Type", ""))
    except MultipartError as error:
        raise UnsupportedBodyError(str(error)) from None
    if content_type.media_type == "application/dicom":
        return content_type
    if content_type.media_type != "multipart/related":
        raise UnsupportedBodyError('Send multipart/related; type="application/dicom", or one application/dicom.')
    root = content_type.parameters.get("type", "application/dicom").lower()
    if root != "application/dicom":
        raise UnsupportedBodyError("Only parts of type application/dicom can be stored.")
    if not content_type.parameters.get("boundary"):
        raise UnsupportedBodyError("The Content-Type names no boundary.")
    return content_type


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Bytes of a file, and whether the file ends with them."""

    data: bytes | memoryview
    is_end: bool = False


async def _files(request: Request, content_type: ContentType) -> AsyncIterator[_Chunk]:
    """Yield the body's files chunk by chunk, as they arrive."""
    try:
        if content_type.media_type == "application/dicom":
            async for data in request.stream():
                if data:
                    yield _Chunk(data)
            yield _Chunk(b"", is_end=True)
            return
        parser = MultipartParser(content_type.parameters["boundary"])
        async for data in request.stream():
            for event in parser.feed(data):
                if isinstance(event, PartData):
                    yield _Chunk(event.data)
                elif isinstance(event, PartEnd):
                    yield _Chunk(b"", is_end=True)
                elif isinstance(event, PartBegin):
                    continue
        parser.close()
    except MultipartError as error:
        raise MalformedBodyError(f"{error} Nothing was stored; send the request again.") from None
    except ClientDisconnect:
        raise MalformedBodyError("The connection ended before the body did; nothing was stored.") from None


@dataclass(frozen=True, slots=True)
class _File:
    """A whole file in memory; of one that is too large, nothing was kept."""

    memory: MemFile
    is_too_large: bool


class _Receiver:
    """Takes files into memory, has them parsed in the sandbox, and stages their ciphertext."""

    def __init__(self, actor: Actor, limiter: Limiter, wanted_study: str | None) -> None:
        self.actor = actor
        self.limiter = limiter
        self.wanted_study = wanted_study
        self.received: list[Received] = []
        self._batch: list[_File] = []
        self._working: asyncio.Task[None] | None = None

    async def read(self, chunks: AsyncIterator[_Chunk]) -> None:
        """Read every file of the body."""
        async with AsyncExitStack() as held:
            file, is_large, is_refused = MemFile(settings.MAX_INSTANCE_BYTES), False, False
            try:
                async for chunk in chunks:
                    if not is_refused:
                        try:
                            file.write(chunk.data)
                        except MemFileFullError:
                            is_refused = True
                            file.close()
                            file = MemFile(settings.MAX_INSTANCE_BYTES)
                    if not is_large and file.size > LARGE_FILE_BYTES:
                        await self._flush()
                        await held.enter_async_context(self.limiter.large)
                        is_large = True
                    if not chunk.is_end:
                        continue
                    await self._take(_File(file, is_refused))
                    if is_large:
                        await self._flush()
                        await held.aclose()
                    file, is_large, is_refused = MemFile(settings.MAX_INSTANCE_BYTES), False, False
                await self._flush()
            finally:
                file.close()

    async def _take(self, file: _File) -> None:
        self._batch.append(file)
        if len(self.received) + len(self._batch) > MAX_FILES:
            raise MalformedBodyError(f"One request may hold {MAX_FILES} instances at most; send the rest in another.")
        if len(self._batch) >= BATCH_FILES or sum(one.memory.size for one in self._batch) >= BATCH_BYTES:
            await self._hand_over()

    async def _hand_over(self) -> None:
        """Start work on the batch as soon as the one before is done, and go on reading meanwhile."""
        await self._wait()
        batch, self._batch = self._batch, []
        if batch:
            self._working = asyncio.create_task(self._stage(batch))

    async def _flush(self) -> None:
        await self._hand_over()
        await self._wait()

    async def _wait(self) -> None:
        if self._working is not None:
            # Shielded: a request that is cancelled waits in `drop` for what is being staged, and forgets it.
            await asyncio.shield(self._working)
            self._working = None

    async def _stage(self, batch: Sequence[_File]) -> None:
        files = [one.memory for one in batch]
        try:
            with tracer.start_as_current_span("stow.parse"):
                parsed = await self.limiter.parsers.parse_batch(files)
            with tracer.start_as_current_span("stow.seal"):
                sealed = await in_thread(self._seal, files)
        except ParserUnavailableError:
            raise BusyError("Files cannot be checked at the moment; try again in a minute.") from None
        finally:
            for file in files:
                file.close()
        for whole, one, result in zip(batch, sealed, parsed, strict=True):
            self.received.append(Received(one, self._judge(whole, result)))

    def _judge(self, file: _File, result: ParsedInstance | Rejection) -> ParsedInstance | Rejection:
        if file.is_too_large:
            limit = settings.MAX_INSTANCE_BYTES // (1024 * 1024)
            return Rejection(
                "dicom.too_large", f"The file is larger than {limit} MB, the most this installation takes."
            )
        if isinstance(result, ParsedInstance) and self.wanted_study not in (None, result.study_instance_uid):
            return Rejection(
                "dicom.study_mismatch",
                "The file belongs to another study than the request names.",
                sop_instance_uid=result.sop_instance_uid,
                sop_class_uid=result.sop_class_uid,
                study_instance_uid=result.study_instance_uid,
            )
        return result

    def _seal(self, files: Sequence[MemFile]) -> list[SealedObject]:
        vault = get_vault()
        sealed: list[SealedObject] = []
        try:
            for file in files:
                with vault.begin(self.actor.tenant_id) as writer:
                    writer.write(file.view())
                    sealed.append(writer.commit())
        except BaseException:
            for one in sealed:
                vault.discard(one)
            raise
        return sealed

    async def drop(self) -> None:
        """Forget what was staged: the request failed as a whole."""
        if self._working is not None:
            await asyncio.wait([self._working])
        for file in self._batch:
            file.memory.close()
        vault = get_vault()
        for one in self.received:
            await in_thread(vault.discard, one.sealed)


def _answer(request: Request, outcomes: Sequence[IngestOutcome]) -> Response:
    """Answer as PS3.18 §10.5.3: 200 when all are stored, 202 when some are, 409 when none is."""
    base = f"{str(request.base_url).rstrip('/')}/t/{request.path_params['tenant']}/dicomweb"
    stored = [one for one in outcomes if one.status is not Status.QUARANTINED]
    failed = [one for one in outcomes if one.status is Status.QUARANTINED]
    body: Item = {}
    studies = {one.study_instance_uid for one in stored}
    if len(studies) == 1:
        body.update(encode(RetrieveURL=f"{base}/studies/{studies.pop()}"))
    if failed:
        body.update(encode(FailedSOPSequence=[_failed_item(one) for one in failed]))
    if stored:
        body.update(encode(ReferencedSOPSequence=[_stored_item(one, base) for one in stored]))
    status = 200 if not failed else 202 if stored else 409
    return JSONResponse(dict(sorted(body.items())), status_code=status, media_type=MEDIA_TYPE)


def _stored_item(one: IngestOutcome, base: str) -> Item:
    series = f"{base}/studies/{one.study_instance_uid}/series/{one.series_instance_uid}"
    return encode(
        ReferencedSOPClassUID=one.sop_class_uid,
        ReferencedSOPInstanceUID=one.sop_instance_uid,
        RetrieveURL=f"{series}/instances/{one.sop_instance_uid}",
    )


def _failed_item(one: IngestOutcome) -> Item:
    return encode(
        ReferencedSOPClassUID=one.sop_class_uid,
        ReferencedSOPInstanceUID=one.sop_instance_uid,
        FailureReason=_REASONS.get(one.code, _NOT_UNDERSTOOD),
        ErrorComment=one.sentence,
    )

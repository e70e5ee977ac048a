"""WADO-RS (PS3.18 §10.4): instances as they came, streamed; and rendered pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from opentelemetry import trace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gantry.dicomweb.errors import InvalidQueryError, NotAcceptableError, PictureError
from gantry.dicomweb.multipart import MultipartWriter
from gantry.foundation.threads import in_thread
from gantry.kernel.actor import Actor
from gantry.kernel.vocabulary import Activity
from gantry.studies.public import OpenedInstance, open_instances, open_object, retrieval_activity
from gantry.vault.public import SealedReader
from gantry_imaging.decode import decode_frames, decoded_photometric
from gantry_imaging.encode import MEDIA_TYPES, encode_image
from gantry_imaging.errors import ImagingError
from gantry_imaging.modality import to_modality_units
from gantry_imaging.part10 import read_header
from gantry_imaging.render2d import render_frame
from gantry_imaging.viewport import Viewport
from gantry_imaging.voi import Voi, default_voi

tracer = trace.get_tracer(__name__)

DICOM = "application/dicom"
#: Answers of `rendered` say which window they were made with, so that a viewer can go on from there.
WINDOW_HEADER = "Gantry-Window"
_PREAMBLE_BYTES = 128
_THUMBNAIL = Viewport.parse("128,128")
#: Objects beyond this are not rendered whole in memory here; the render service takes them.
MAX_RENDERED_BYTES = 256 * 1024 * 1024


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
        action="instances.retrieved",
    )
    if wants_plain:
        reader = await in_thread(open_object, instances[0].ref)
        headers = {"Content-Length": str(reader.size_bytes)}
        return StreamingResponse(_read(reader, instances[0]), media_type=DICOM, headers=headers)
    writer = MultipartWriter()
    # The first object is opened before the status line is out, so that a lost one is an answer, not a broken stream.
    first = await in_thread(open_object, instances[0].ref)
    return StreamingResponse(_parts(instances, first, writer), media_type=writer.content_type(DICOM))


async def _parts(instances: list[OpenedInstance], first: SealedReader, writer: MultipartWriter) -> AsyncIterator[bytes]:
    for at, instance in enumerate(instances):
        reader = first if at == 0 else await in_thread(open_object, instance.ref)
        content_type = f"{DICOM}; transfer-syntax={instance.transfer_syntax_uid}"
        yield writer.begin_part({"Content-Type": content_type, "Content-Length": str(reader.size_bytes)})
        async for chunk in _read(reader, instance):
            yield chunk
    yield writer.close()


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


async def rendered(request: Request, actor: Actor) -> Response:
    """Return one frame as a picture (§10.4.1.1.3): `window`, `viewport`, `quality`."""
    parameters = request.query_params
    try:
        voi = Voi.parse(parameters["window"]) if "window" in parameters else None
        viewport = Viewport.parse(parameters["viewport"]) if "viewport" in parameters else None
    except ImagingError as error:
        raise InvalidQueryError(error.sentence) from None
    quality = parameters.get("quality", "85")
    if not quality.isdecimal() or not 1 <= int(quality) <= 100:
        raise InvalidQueryError("quality is a whole number from 1 to 100.")
    frame = _frame(request)
    instance = await in_thread(_open_image, request, actor)
    return await _picture(request, instance, frame, voi, viewport, int(quality))


async def thumbnail(request: Request, actor: Actor) -> Response:
    """Return a small picture of an instance, or of the middle of a series."""
    instance = await in_thread(_open_image, request, actor)
    frame = instance.number_of_frames // 2
    return await _picture(request, instance, frame, None, _THUMBNAIL, 80)


def _frame(request: Request) -> int:
    text = request.path_params.get("frame", "1")
    if not text.isdecimal() or not 1 <= int(text) < 1_000_000:
        raise InvalidQueryError("Frames are numbered from 1.")
    return int(text) - 1


def _open_image(request: Request, actor: Actor) -> OpenedInstance:
    instances = open_instances(
        actor=actor,
        study_instance_uid=request.path_params["study"],
        series_instance_uid=request.path_params["series"],
        sop_instance_uid=request.path_params.get("instance"),
        activity=Activity.VIEW,
        action="images.shown",
    )
    return instances[len(instances) // 2]


def _media_type(request: Request) -> str:
    accepted = request.headers.get("Accept", "*/*").lower()
    wanted = request.query_params.get("accept", accepted).lower()
    for media_type in MEDIA_TYPES:
        if media_type in wanted:
            return str(media_type)
    if "*/*" in wanted or "image/*" in wanted:
        return "image/jpeg"
    raise NotAcceptableError(f"Pictures come as {', '.join(MEDIA_TYPES)}.")


async def _picture(
    request: Request, instance: OpenedInstance, frame: int, voi: Voi | None, viewport: Viewport | None, quality: int
) -> Response:
    media_type = _media_type(request)
    with tracer.start_as_current_span("wado.render"):
        picture, used = await in_thread(_render, instance, frame, voi, viewport, media_type, quality)
    headers = {"Vary": "Accept"}
    if used is not None:
        headers[WINDOW_HEADER] = f"{used.center:g},{used.width:g}"
    return Response(picture, media_type=media_type, headers=headers)


def _render(
    instance: OpenedInstance, frame: int, voi: Voi | None, viewport: Viewport | None, media_type: str, quality: int
) -> tuple[bytes, Voi | None]:
    """Return the encoded picture and the window that it was made with; colour has none."""
    if not instance.facts["has_pixels"]:
        raise PictureError("This object has no pixels to show.")
    if instance.ref.size_bytes > MAX_RENDERED_BYTES:
        raise PictureError("This object is too large to be rendered here.")
    with open_object(instance.ref) as reader:
        data = reader.read()
    try:
        header = read_header(data)
        stored = decode_frames(data, frame)
        if voi is None and decoded_photometric(header).startswith("MONOCHROME"):
            voi = default_voi(header, to_modality_units(stored, header, frame), frame)
        pixels = render_frame(header, stored, frame=frame, voi=voi, viewport=viewport)
        return encode_image(pixels, media_type, quality), voi if pixels.ndim == 2 else None
    except ImagingError as error:
        raise PictureError(error.sentence) from error
    except IndexError:
        raise InvalidQueryError(f"The object has {instance.number_of_frames} frames.") from None

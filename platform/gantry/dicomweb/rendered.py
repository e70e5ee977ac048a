"""Rendered resources and thumbnails (PS3.18 §8.3.5, §10.4.1.1.3 and 4), from a study down to a frame."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from opentelemetry import trace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gantry.dicomweb.errors import InvalidQueryError, NotAcceptableError, PictureError, TooManyPicturesError
from gantry.dicomweb.multipart import MultipartError, MultipartWriter, parse_content_type
from gantry.dicomweb.pictures import Target, Wish, find_packs, render_picture
from gantry.foundation.scope import unit_of_work
from gantry.foundation.threads import in_thread
from gantry.foundation.web.problems import MEDIA_TYPE as PROBLEM
from gantry.foundation.web.problems import problem_body
from gantry.kernel.actor import Actor
from gantry.kernel.errors import GantryError
from gantry.kernel.vocabulary import Activity
from gantry.studies.public import OpenedInstance, open_instances
from gantry_imaging.encode import MEDIA_TYPES
from gantry_imaging.errors import ImagingError
from gantry_imaging.viewport import Viewport
from gantry_imaging.voi import Voi

tracer = trace.get_tracer(__name__)

#: Answers of `rendered` say which window they were made with, so that a viewer can go on from there.
WINDOW_HEADER = "Gantry-Window"
#: Pictures in one answer; more are asked for series by series, or frame by frame.
MAX_PICTURES: Final = 1000
_MAX_THUMBNAIL_SIDE: Final = 1024
_THUMBNAIL: Final = Viewport.parse("128,128")
_DEFAULT: Final = "image/jpeg"
#: Series whose pixels, where they have any, are not what somebody means who asks for pictures of a study.
_NO_PICTURES: Final = frozenset({"SEG", "SR", "PR", "KO", "M3D", "RTSTRUCT", "RTPLAN", "RTDOSE", "DOC"})
_ANNOTATIONS: Final = frozenset({"patient", "technique"})
_PROFILES: Final = frozenset({"no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"})
_COMMA: Final = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')


@dataclass(frozen=True, slots=True)
class Answer:
    """How the pictures go out: one by itself, or as many as there are in parts."""

    media_type: str
    is_multipart: bool


async def rendered(request: Request, actor: Actor) -> Response:
    """Return pictures: one where a type of picture is accepted, all where `multipart/related` is."""
    wish, warnings = _wish(request)
    frames = _frames(request)
    answer = _negotiate(request, is_list=len(frames) > 1)
    wish = replace(wish, media_type=answer.media_type)
    targets = await in_thread(_open, request, actor, frames, is_all=answer.is_multipart)
    if answer.is_multipart:
        return await _pictures(request, targets, wish, warnings)
    return await _picture(targets[0], wish, warnings)


async def thumbnail(request: Request, actor: Actor) -> Response:
    """Return a small picture that stands for a study, a series, an instance, or of a frame."""
    viewport = _viewport(request) or _THUMBNAIL
    is_region = "viewport" in request.query_params and request.query_params["viewport"].count(",") != 1
    if is_region or max(viewport.width, viewport.height) > _MAX_THUMBNAIL_SIDE:
        raise InvalidQueryError(f"A thumbnail's viewport is vw,vh of at most {_MAX_THUMBNAIL_SIDE}.")
    frames = _frames(request)
    answer = _negotiate(request, is_list=False)
    targets = await in_thread(_open, request, actor, frames[:1], is_all=False)
    return await _picture(targets[0], Wish(answer.media_type, 80, viewport=viewport), [])


def _wish(request: Request) -> tuple[Wish, list[str]]:
    """Return what the query asks for, and what of it is not done."""
    parameters = request.query_params
    try:
        voi = Voi.parse(parameters["window"]) if "window" in parameters else None
    except ImagingError as error:
        raise InvalidQueryError(error.sentence) from None
    quality = parameters.get("quality", "85")
    if not quality.isdecimal() or not 1 <= int(quality) <= 100:
        raise InvalidQueryError("quality is a whole number from 1 to 100.")
    warnings = []
    if "annotation" in parameters:
        asked = {word.strip() for word in parameters["annotation"].split(",")}
        if not asked <= _ANNOTATIONS:
            raise InvalidQueryError("annotation is patient, technique, or both.")
        warnings.append("Annotations are not burned into pictures; they were left out.")
    if "iccprofile" in parameters:
        if parameters["iccprofile"] not in _PROFILES:
            raise InvalidQueryError("iccprofile is no, yes, srgb, adobergb, rommrgb or displayp3.")
        if parameters["iccprofile"] != "no":
            warnings.append("Pictures carry no ICC profile; colour is as it was stored.")
    return Wish(_DEFAULT, int(quality), voi, _viewport(request)), warnings


def _viewport(request: Request) -> Viewport | None:
    try:
        return Viewport.parse(request.query_params["viewport"]) if "viewport" in request.query_params else None
    except ImagingError as error:
        raise InvalidQueryError(error.sentence) from None


def _frames(request: Request) -> list[int]:
    """Return the frames that the address names, from 0; none where it names none."""
    text = request.path_params.get("frame")
    if text is None:
        return []
    numbers = str(text).split(",")
    if len(numbers) > MAX_PICTURES:
        raise TooManyPicturesError(MAX_PICTURES)
    if not all(one.isdecimal() and one.isascii() and 1 <= int(one[:8]) < 1_000_000 and len(one) < 8 for one in numbers):
        raise InvalidQueryError("Frames are numbered from 1; several are separated by commas.")
    return [int(one) - 1 for one in numbers]


def _negotiate(request: Request, *, is_list: bool) -> Answer:
    """Choose by `accept` or the header (PS3.18 §8.7.5), the best quality value first, then in the order given."""
    text = request.query_params.get("accept") or request.headers.get("Accept") or "*/*"
    choices: list[tuple[float, str, str]] = []
    for part in _COMMA.split(text)[:32]:
        try:
            parsed = parse_content_type(part)
            quality = float(parsed.parameters.get("q", "1"))
        except (MultipartError, ValueError):
            continue
        choices.append((quality, parsed.media_type, parsed.parameters.get("type", "").lower()))
    for quality, media_type, part_type in sorted(choices, key=lambda one: -one[0]):
        is_multipart = media_type == "multipart/related"
        wanted = (part_type or _DEFAULT) if is_multipart else media_type
        if wanted in {"*/*", "image/*"}:
            is_multipart, wanted = is_multipart or is_list, _DEFAULT
        if quality > 0 and wanted in MEDIA_TYPES and is_multipart >= is_list:
            return Answer(wanted, is_multipart)
    listed = ", ".join(MEDIA_TYPES)
    raise NotAcceptableError(
        f"Several frames come as multipart/related, their type one of {listed}."
        if is_list
        else f"Pictures come as {listed}, several of them as multipart/related."
    )


def _open(request: Request, actor: Actor, frames: Sequence[int], *, is_all: bool) -> list[Target]:
    """Decide, record, and say which frames are meant: all of them, or the one that stands for them."""
    with unit_of_work():
        instances = open_instances(
            actor=actor,
            study_instance_uid=request.path_params["study"],
            series_instance_uid=request.path_params.get("series"),
            sop_instance_uid=request.path_params.get("instance"),
            activity=Activity.VIEW,
            action="images.shown",
        )
        if "instance" not in request.path_params:
            instances = _images(instances)
        if is_all:
            meant = [(one, at) for one in instances for at in frames or range(max(1, one.number_of_frames))]
            if len(meant) > MAX_PICTURES:
                raise TooManyPicturesError(MAX_PICTURES)
        else:
            one = _middle(instances)
            meant = [(one, frames[0] if frames else max(1, one.number_of_frames) // 2)]
        packs = find_packs([one for one, _ in meant])
    return [Target(one, at, packs.get(one.series_instance_uid)) for one, at in meant]


def _images(instances: Sequence[OpenedInstance]) -> list[OpenedInstance]:
    """Return what of a study or series can be looked at by itself.

    Raises
    ------
    PictureError
        Nothing can.
    """
    with_pixels = [one for one in instances if one.facts["has_pixels"]]
    images = [one for one in with_pixels if one.modality not in _NO_PICTURES] or with_pixels
    if not images:
        raise PictureError("There is no picture here: none of the objects has pixels.")
    return images


def _middle(instances: Sequence[OpenedInstance]) -> OpenedInstance:
    """Return the image in the middle of the first series."""
    first = [one for one in instances if one.series_instance_uid == instances[0].series_instance_uid]
    return first[len(first) // 2]


async def _picture(target: Target, wish: Wish, warnings: Sequence[str]) -> Response:
    with tracer.start_as_current_span("wado.render"):
        picture, used = await in_thread(render_picture, target, wish)
    return Response(picture, media_type=wish.media_type, headers=_headers(used, warnings))


def _headers(used: Voi | None, warnings: Sequence[str]) -> dict[str, str]:
    headers = {"Vary": "Accept"}
    if used is not None:
        headers[WINDOW_HEADER] = f"{used.center:g},{used.width:g}"
    if warnings:
        headers["Warning"] = ", ".join(f'299 gantry "{text}"' for text in warnings)
    return headers


async def _pictures(request: Request, targets: Sequence[Target], wish: Wish, warnings: Sequence[str]) -> Response:
    writer = MultipartWriter()
    # The first is made before the status line is out, so that a request for one picture fails as such.
    first = await _part(request, targets[0], wish, is_only=len(targets) == 1)

    async def parts() -> AsyncIterator[bytes]:
        for at, target in enumerate(targets):
            headers, content = first if at == 0 else await _part(request, target, wish)
            yield writer.begin_part(headers)
            yield content
        yield writer.close()

    return StreamingResponse(parts(), media_type=writer.content_type(wish.media_type), headers=_headers(None, warnings))


async def _part(request: Request, target: Target, wish: Wish, *, is_only: bool = False) -> tuple[dict[str, str], bytes]:
    """Return one part; of a frame that cannot be shown, the problem, so that none is missing without a word."""
    instance = target.instance
    base = request.url.path[: request.url.path.index("/studies/")]
    where = (
        f"{base}/studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
        f"/instances/{instance.sop_instance_uid}/frames/{target.frame + 1}/rendered"
    )
    try:
        content, used = await in_thread(render_picture, target, wish)
    except GantryError as error:
        if is_only:
            raise
        _, body = problem_body(error)
        return {"Content-Type": PROBLEM, "Content-Location": where}, json.dumps(body).encode()
    headers = {"Content-Type": wish.media_type, "Content-Location": where, "Content-Length": str(len(content))}
    return headers | ({WINDOW_HEADER: f"{used.center:g},{used.width:g}"} if used else {}), content

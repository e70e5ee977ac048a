"""From a stored frame to an encoded picture: out of the series' volume pack where there is one, else of the instance."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from gantry.dicomweb.errors import InvalidQueryError, PictureError
from gantry.foundation.scope import unit_of_work
from gantry.studies.public import OpenedInstance, Series, get_pack, open_object
from gantry.vault.public import StoredRef, VaultCorruptError
from gantry_imaging.decode import decode_frames, decoded_photometric
from gantry_imaging.encode import encode_image
from gantry_imaging.errors import ImagingError
from gantry_imaging.modality import to_modality_units
from gantry_imaging.pack import FrameEntry, Pack, PackIndex
from gantry_imaging.part10 import read_header
from gantry_imaging.render2d import render_frame, render_values
from gantry_imaging.viewport import Viewport, resample
from gantry_imaging.voi import Voi, default_voi

#: An object beyond this is not read whole into memory; a frame of it comes out of the pack alone.
MAX_INSTANCE_BYTES: Final = 256 * 1024 * 1024
_KEPT_INDEXES: Final = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """How a picture is to be."""

    media_type: str
    quality: int = 85
    voi: Voi | None = None
    viewport: Viewport | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One frame of an opened instance, from 0, and the pack of its series if that is ready."""

    instance: OpenedInstance
    frame: int
    pack: StoredRef | None = None


@dataclass(frozen=True, slots=True)
class _Contents:
    """What is kept of a pack between requests: where its frames are, and no key."""

    index: PackIndex
    numbers: dict[tuple[str, int], int]


_contents: OrderedDict[UUID, _Contents] = OrderedDict()
_lock = threading.Lock()


def find_packs(instances: Sequence[OpenedInstance]) -> dict[str, StoredRef]:
    """Return the packs of opened instances' series, by series UID, as far as they are ready.

    To be called inside the service that opened them.
    """
    uids = {one.series_instance_uid for one in instances}
    with unit_of_work():
        packs = {
            row.series_instance_uid: get_pack(row).ref for row in Series.objects.filter(series_instance_uid__in=uids)
        }
    return {uid: ref for uid, ref in packs.items() if ref is not None}


def render_picture(target: Target, wish: Wish) -> tuple[bytes, Voi | None]:
    """Return the encoded picture and the window that it was made with; colour has none.

    Raises
    ------
    PictureError
        These pixels cannot be shown; the sentence says why.
    InvalidQueryError
        The instance has no such frame.
    """
    instance = target.instance
    if not instance.facts["has_pixels"]:
        raise PictureError("This object has no pixels to show.")
    if not 0 <= target.frame < max(1, instance.number_of_frames):
        raise InvalidQueryError(f"The object has {instance.number_of_frames} frames.")
    try:
        found = _from_pack(target, wish)
        pixels, used = found if found is not None else _from_instance(target, wish)
        return encode_image(pixels, wish.media_type, wish.quality), used if pixels.ndim == 2 else None
    except ImagingError as error:
        raise PictureError(error.sentence) from error
    except IndexError:
        raise InvalidQueryError(f"The object has {instance.number_of_frames} frames.") from None


def _from_pack(target: Target, wish: Wish) -> tuple[NDArray[np.uint8], Voi | None] | None:
    """Render a frame by one range read; None where the pack does not have it."""
    if target.pack is None:
        return None
    with open_object(target.pack) as reader:
        contents = _contents_of(target.pack.object_id, reader)
        number = contents.numbers.get((target.instance.sop_instance_uid, target.frame + 1))
        if number is None or contents.index.frames[number].chunk is None:
            return None
        pack = Pack(reader, contents.index, (reader.size_bytes, b""), (VaultCorruptError,))
        values = pack.read_frame(number)
    entry = contents.index.frames[number]
    return _render_values(values, entry, wish)


def _render_values(values: NDArray[Any], entry: FrameEntry, wish: Wish) -> tuple[NDArray[np.uint8], Voi | None]:
    if entry.samples == 3:
        if wish.viewport is None:
            return values, None
        return resample(values, wish.viewport, pixel_aspect=entry.pixel_aspect), None
    voi = wish.voi or entry.default_voi()
    assert voi is not None  # a grey frame that has values has a way to be shown
    is_reversed = entry.photometric == "MONOCHROME1"
    return render_values(values, voi, viewport=wish.viewport, invert=is_reversed, aspect=entry.pixel_aspect), voi


def _contents_of(object_id: UUID, reader: Any) -> _Contents:
    """Return a pack's contents, read from its end where they were not just before."""
    with _lock:
        if (kept := _contents.get(object_id)) is not None:
            _contents.move_to_end(object_id)
            return kept
    index = Pack.open(reader, damage=(VaultCorruptError,)).index
    numbers = {(frame.sop_instance_uid, frame.frame_number): at for at, frame in enumerate(index.frames)}
    contents = _Contents(index, numbers)
    with _lock:
        _contents[object_id] = contents
        while len(_contents) > _KEPT_INDEXES:
            _contents.popitem(last=False)
    return contents


def _from_instance(target: Target, wish: Wish) -> tuple[NDArray[np.uint8], Voi | None]:
    if target.instance.ref.size_bytes > MAX_INSTANCE_BYTES:
        raise PictureError(
            "This object is too large to be rendered whole. It can be shown once its volume pack is written."
        )
    with open_object(target.instance.ref) as reader:
        data = reader.read()
    header = read_header(data)
    stored = decode_frames(data, target.frame)
    voi = wish.voi
    if voi is None and decoded_photometric(header).startswith("MONOCHROME"):
        voi = default_voi(header, to_modality_units(stored, header, target.frame), target.frame)
    return render_frame(header, stored, frame=target.frame, voi=voi, viewport=wish.viewport), voi

"""Writing a pack: instances in, sorted and compressed frames out, with memory for a few frames at a time."""

import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from gantry_imaging.codecs import find_codec
from gantry_imaging.colour import to_rgb
from gantry_imaging.decode import NATIVE, decode_frames
from gantry_imaging.errors import DecodeError, GeometryError, ImagingError, PackError
from gantry_imaging.modality import to_modality_units
from gantry_imaging.pack.describe import SeriesFacts, add_values, describe_frame, describe_series, sample_values
from gantry_imaging.pack.index import BrickIndex, Chunk, FrameEntry, PackIndex
from gantry_imaging.pack.layout import HEADER, compress, write_footer
from gantry_imaging.pack.pyramid import Bricks, Pyramid, add_pairs, narrowed, tile_ranges
from gantry_imaging.pack.stored_index import MAX_FRAMES, write_index
from gantry_imaging.part10 import DEFAULT_LIMITS, Limits, Source, open_file
from gantry_imaging.planes import read_slice_headers
from gantry_imaging.series import SeriesGeometry, SliceHeader, examine_geometry, sort_slices

_QUANTILES: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9)
# Of all frames together, a sample for the quantiles.
_SAMPLED: Final = 1_000_000


class PackSink(Protocol):
    """Where a pack goes; only ever appended to."""

    def write(self, data: bytes, /) -> None:
        """Append bytes."""


@dataclass(frozen=True, slots=True)
class InstanceSource:
    """A DICOM instance that can be opened, again and again and from several threads.

    `open` gives the file as bytes or as a seekable stream, for as long as its context lasts.
    """

    sop_instance_uid: str
    open: Callable[[], AbstractContextManager[Source]]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A frame that is to be written: of which instance, and what its header says."""

    instance: int
    header: SliceHeader
    entry: FrameEntry


@dataclass(frozen=True, slots=True)
class _Done:
    """A frame as it goes into the pack, and its part in pyramid and bricks."""

    entry: FrameEntry
    packed: bytes = b""
    dtype: str = ""
    pairs: NDArray[Any] | None = None
    tiles: tuple[NDArray[Any], NDArray[Any]] | None = None
    sample: NDArray[Any] | None = None


def write_pack(
    sink: PackSink,
    instances: Sequence[InstanceSource],
    *,
    threads: int = 2,
    limits: Limits = DEFAULT_LIMITS,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PackIndex:
    """Write the pack of a series.

    Frames are decoded on several threads and written in order; what is held is a few frames, the levels in
    compressed form, and the index. Instances without pixels are passed over. A frame that cannot be decoded becomes an
    entry that says why, and the series a stack.

    Parameters
    ----------
    sink
        Takes the bytes; what it raises ends the writing.
    instances
        The series in any order.
    on_progress
        Called with (frames done, frames in all).
    cancelled
        Asked before each frame is written.

    Raises
    ------
    DecodeError
        No frame could be decoded: the first one's code (`pixel.unsupported_syntax` for video and JPEG XL), or
        `pixel.absent` where no instance holds pixels. What `sink` has by then is no pack.
    PackError
        `pack.too_large`, `pack.cancelled`.
    """
    drafts, facts = _read_headers(instances, limits)
    drafts, geometry, reason = _arrange(drafts)
    writer = _Writer(sink, geometry)
    with _Decoder(instances, limits, geometry is not None) as decoder:
        for done in _in_order(decoder.pack, drafts, threads):
            if cancelled is not None and cancelled():
                raise PackError("pack.cancelled", "Writing was stopped.")
            writer.add(done)
            if on_progress is not None:
                on_progress(len(writer.entries), len(drafts))
    return writer.finish(facts, reason, _frame_of_reference(drafts))


def _read_headers(instances: Sequence[InstanceSource], limits: Limits) -> tuple[list[_Draft], SeriesFacts]:
    drafts: list[_Draft] = []
    facts: SeriesFacts | None = None
    for number, instance in enumerate(instances):
        try:
            with instance.open() as source:
                opened = open_file(source, limits=limits)
                dataset = opened.dataset
            if opened.pixel_tag is None:
                continue
            refusal = _refusal(opened.transfer_syntax_uid)
            facts = facts or describe_series(dataset)
            for header in read_slice_headers(dataset):
                entry = describe_frame(dataset, header)
                if refusal is not None:
                    entry = _refused(entry, refusal)
                drafts.append(_Draft(number, header, entry))
                if len(drafts) > MAX_FRAMES:
                    raise PackError("pack.too_large", f"The series has more than the {MAX_FRAMES} frames allowed.")
        except DecodeError as error:
            header = SliceHeader(instance.sop_instance_uid, None, 0, None, None, None, 0, 0)
            drafts.append(_Draft(number, header, _refused(FrameEntry(instance.sop_instance_uid, 1, 0, 0), error)))
    if not drafts:
        raise DecodeError("pixel.absent", "The series holds no images.")
    if all(draft.entry.code for draft in drafts):
        raise DecodeError(drafts[0].entry.code, drafts[0].entry.sentence)
    return drafts, facts or SeriesFacts()


def _refusal(transfer_syntax_uid: str) -> DecodeError | None:
    try:
        if transfer_syntax_uid not in NATIVE:
            find_codec(transfer_syntax_uid)
    except DecodeError as error:
        return error
    return None


def _refused(entry: FrameEntry, error: ImagingError) -> FrameEntry:
    return replace(entry, code=error.code, sentence=error.sentence[:500])


def _arrange(drafts: list[_Draft]) -> tuple[list[_Draft], SeriesGeometry | None, tuple[str, str]]:
    """Sort, and say which grid the frames are, or why they are none."""
    headers = [draft.header for draft in drafts]
    reason = _obstacle(drafts)
    if reason is None:
        try:
            geometry = examine_geometry(headers)
            return [drafts[at] for at in geometry.order], geometry, ("", "")
        except GeometryError as error:
            reason = error.code, error.sentence
    if reason[0] == "series.duplicate_position":
        # Phases of one place: along the normal they would come out mixed.
        ordered = sorted(
            headers, key=lambda one: (one.instance_number is None, one.instance_number or 0, one.frame_index)
        )
    else:
        ordered = sort_slices(headers)
    places = {id(header): draft for header, draft in zip(headers, drafts, strict=True)}
    return [places[id(header)] for header in ordered], None, reason


def _frame_of_reference(drafts: Sequence[_Draft]) -> str:
    """Return the one that all frames lie in; empty where they have several, as careless de-identification leaves."""
    found = {draft.header.frame_of_reference_uid for draft in drafts}
    return (found.pop() or "")[:64] if len(found) == 1 else ""


def _obstacle(drafts: Sequence[_Draft]) -> tuple[str, str] | None:
    if any(draft.entry.samples == 3 for draft in drafts):
        return "series.colour", "Colour images are shown as they are, not as a volume."
    refused = [draft.entry for draft in drafts if draft.entry.code]
    if refused:
        return _incomplete(len(refused), len(drafts), refused[0])
    return None


def _incomplete(refused: int, total: int, first: FrameEntry) -> tuple[str, str]:
    return "series.incomplete", f"{refused} of {total} images cannot be decoded. {first.sentence}"


@dataclass
class _Opened:
    """The instance that a thread has at hand."""

    instance: int
    closing: ExitStack
    source: Source
    dataset: Dataset


@dataclass
class _Decoder:
    """Turns drafts into what is written, on any thread; each keeps its last instance open for the next frame."""

    instances: Sequence[InstanceSource]
    limits: Limits
    is_volume: bool
    _local: threading.local = field(default_factory=threading.local)
    _closing: list[ExitStack] = field(default_factory=list)

    def __enter__(self) -> "_Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        for closing in self._closing:
            closing.close()

    def pack(self, draft: _Draft) -> _Done:
        """Decode and compress one frame."""
        if draft.entry.code:
            return _Done(draft.entry)
        try:
            opened = self._open(draft.instance)
            return self._pack(draft.entry, opened)
        except ImagingError as error:
            return _Done(_refused(draft.entry, error))

    def _open(self, number: int) -> _Opened:
        opened: _Opened | None = getattr(self._local, "opened", None)
        if opened is not None:
            if opened.instance == number:
                return opened
            self._local.opened = None
            opened.closing.close()
        else:
            self._local.closing = ExitStack()
            self._closing.append(self._local.closing)
        closing: ExitStack = self._local.closing
        source = closing.enter_context(self.instances[number].open())
        dataset = open_file(source, limits=self.limits).dataset
        opened = self._local.opened = _Opened(number, closing, source, dataset)
        return opened

    def _pack(self, entry: FrameEntry, opened: _Opened) -> _Done:
        dataset, frame = opened.dataset, entry.frame_number - 1
        with _as_decode_error(frame):
            stored = decode_frames(opened.source, frame, limits=self.limits)
        if entry.samples == 3:
            rgb = to_rgb(stored, dataset)
            return _Done(add_values(entry, dataset, rgb), compress(rgb), rgb.dtype.str)
        if stored.ndim != 2:
            raise DecodeError("pixel.corrupt", "A grey image has more than one value for each pixel.")
        values = to_modality_units(stored, dataset, frame)
        entry = add_values(entry, dataset, values)
        if values.dtype.kind == "f" and stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
            # Whole numbers are smaller than their products; `to_modality_units` is done over again when read.
            kept = narrowed(stored)
            entry = replace(entry, slope=entry.rescale_slope, intercept=entry.rescale_intercept)
        else:
            kept = values = narrowed(values)
        done = _Done(entry, compress(kept), kept.dtype.str, sample=sample_values(values, entry.padding))
        if not self.is_volume:
            return done
        return replace(done, pairs=add_pairs(values), tiles=tile_ranges(values))


@contextmanager
def _as_decode_error(frame: int) -> Iterator[None]:
    try:
        yield
    except IndexError:
        raise DecodeError("pixel.corrupt", f"The file has no frame {frame + 1}.") from None


class _Writer:
    """Appends to the sink and keeps what the index needs."""

    def __init__(self, sink: PackSink, geometry: SeriesGeometry | None) -> None:
        self.entries: list[FrameEntry] = []
        self._sink = sink
        self._offset = 0
        self._geometry = geometry
        self._bricks: Bricks | None = None
        self._pyramid: Pyramid | None = None
        self._samples: list[NDArray[Any]] = []
        self._write(HEADER)

    def add(self, done: _Done) -> None:
        """Append the next frame."""
        entry = done.entry
        if done.packed:
            entry = replace(entry, chunk=self._place(done.packed, done.dtype))
        self.entries.append(entry)
        if done.sample is not None:
            self._samples.append(done.sample)
        if self._geometry is None or done.pairs is None or done.tiles is None:
            return
        if self._bricks is None or self._pyramid is None:
            shape = len(self._geometry.order), entry.rows, entry.columns
            self._bricks, self._pyramid = Bricks(shape), Pyramid(shape, compress)
        self._bricks.add(*done.tiles)
        self._pyramid.add(done.pairs)

    def finish(self, facts: SeriesFacts, reason: tuple[str, str], frame_of_reference_uid: str) -> PackIndex:
        """Append levels and index."""
        refused = [entry for entry in self.entries if entry.chunk is None]
        if len(refused) == len(self.entries):
            raise DecodeError(refused[0].code, refused[0].sentence)
        geometry = self._geometry
        if geometry is not None and refused:
            geometry, reason = None, _incomplete(len(refused), len(self.entries), refused[0])
        index = PackIndex(
            kind="stack",
            modality=facts.modality,
            frames=tuple(self.entries),
            reason_code=reason[0],
            reason=reason[1][:1000],
            frame_of_reference_uid=frame_of_reference_uid,
            quantiles=self._quantiles(),
            frame_time_ms=facts.frame_time_ms,
        )
        if geometry is not None and self._bricks is not None and self._pyramid is not None:
            low, high = self._bricks.ranges()
            bricks = BrickIndex(self._bricks.shape_kji, self._compressed(low), self._compressed(high))
            index = replace(
                index,
                kind="volume",
                lps_from_ijk=tuple(float(one) for one in geometry.lps_from_ijk.reshape(-1)),
                is_uniform=geometry.uniform,
                bricks=bricks,
                levels=self._pyramid.write(self._place),
            )
        data = write_index(index)
        offset = self._offset
        self._write(data)
        self._write(write_footer(offset, data))
        return index

    def _quantiles(self) -> tuple[tuple[float, float], ...]:
        step = max(1, sum(one.size for one in self._samples) // _SAMPLED)
        sample = np.concatenate([one[::step] for one in self._samples] or [np.empty(0)])
        if not sample.size:
            return ()
        return tuple(zip(_QUANTILES, (float(one) for one in np.percentile(sample, _QUANTILES)), strict=True))

    def _compressed(self, values: NDArray[Any]) -> Chunk:
        return self._place(compress(values), values.dtype.str)

    def _place(self, data: bytes, dtype: str) -> Chunk:
        chunk = Chunk(self._offset, len(data), zlib.crc32(data), dtype)
        self._write(data)
        return chunk

    def _write(self, data: bytes) -> None:
        self._sink.write(data)
        self._offset += len(data)


def _in_order(work: Callable[[_Draft], _Done], drafts: Sequence[_Draft], threads: int) -> Iterator[_Done]:
    """Yield results in the order of the drafts; no more than two for each thread are under way."""
    with ThreadPoolExecutor(max(1, threads), "pack") as pool:
        pending: deque[Future[_Done]] = deque()
        try:
            for draft in drafts:
                pending.append(pool.submit(work, draft))
                if len(pending) >= 2 * max(1, threads):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

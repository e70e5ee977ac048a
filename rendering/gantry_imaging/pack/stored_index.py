"""An index as it is stored.

It is written by us and read back as if it were not: `parse_index` checks every number before anything is allocated or
read by it.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np

from gantry_imaging.errors import DecodeError, GeometryError, PackError, RenderError
from gantry_imaging.pack.index import (
    BrickIndex,
    Chunk,
    FrameEntry,
    Level,
    PackIndex,
    VoiLut,
    Window,
    brick_shape,
    halved,
)
from gantry_imaging.part10 import DEFAULT_LIMITS
from gantry_imaging.volume import Volume

MAX_INDEX_BYTES: Final = 16 << 20
MAX_INFLATED_BYTES: Final = 96 << 20
MAX_FRAMES: Final = 100_000

# What blosc2 may add to bytes that do not shrink: its header, and 4 bytes for each block.
_COMPRESSION_OVERHEAD: Final = 64 << 10
# Types of values in a chunk, and their bytes.
_CHUNK_TYPES: Final = {"|u1": 1, "<i2": 2, "<u2": 2, "<f4": 4}
_PHOTOMETRIC: Final = ("MONOCHROME1", "MONOCHROME2", "RGB")
_T = TypeVar("_T")


def write_index(index: PackIndex) -> bytes:
    """Return the index as it is stored: JSON, deflated.

    What most frames share is written once, and so is every lookup table.
    """
    tables: dict[VoiLut, int] = {}
    rows = [_frame_to_json(frame, tables) for frame in index.frames]
    shared = {
        key: value for key, value in rows[0].items() if sum(row.get(key) == value for row in rows) > len(rows) / 2
    }
    keys = set().union(*rows)
    document = {
        "kind": index.kind,
        "modality": index.modality,
        "reason_code": index.reason_code,
        "reason": index.reason,
        "frame_of_reference_uid": index.frame_of_reference_uid,
        "lps_from_ijk": list(index.lps_from_ijk),
        "is_uniform": index.is_uniform,
        "quantiles": [list(pair) for pair in index.quantiles],
        "frame_time_ms": index.frame_time_ms,
        "levels": [
            {
                "shape": level.shape_kji,
                "slices": level.slices_per_chunk,
                "chunks": [_chunk(one) for one in level.chunks],
            }
            for level in index.levels
        ],
        "bricks": None
        if index.bricks is None
        else {"shape": index.bricks.shape_kji, "low": _chunk(index.bricks.low), "high": _chunk(index.bricks.high)},
        "luts": [[lut.first, lut.bits, lut.explanation, list(lut.entries)] for lut in tables],
        "shared": shared,
        # A key that a frame lacks is the shared one, so what differs by absence is written as null.
        "frames": [{k: row.get(k) for k in keys if row.get(k) != shared.get(k)} for row in rows],
    }
    packed = zlib.compress(json.dumps(document, allow_nan=False, separators=(",", ":")).encode(), 6)
    if len(packed) > MAX_INDEX_BYTES or len(index.frames) > MAX_FRAMES:
        raise PackError(
            "pack.too_large", f"The description of {len(index.frames)} frames is larger than a pack allows."
        )
    return packed


_DEFAULTS: Final = {one.name: one.default for one in fields(FrameEntry) if one.default is not MISSING}


def _frame_to_json(frame: FrameEntry, tables: dict[VoiLut, int]) -> dict[str, Any]:
    row = {
        one.name: getattr(frame, one.name)
        for one in fields(frame)
        if one.name not in _DEFAULTS or getattr(frame, one.name) != _DEFAULTS[one.name]
    }
    if frame.chunk is not None:
        row["chunk"] = _chunk(frame.chunk)
    if frame.windows:
        row["windows"] = [_window(one) for one in frame.windows]
    if frame.default_window is not None:
        row["default_window"] = _window(frame.default_window)
    if frame.voi_luts:
        row["voi_luts"] = [tables.setdefault(lut, len(tables)) for lut in frame.voi_luts]
    return {key: list(value) if isinstance(value, tuple) else value for key, value in row.items()}


def _chunk(chunk: Chunk) -> list[Any]:
    return [chunk.offset, chunk.length, chunk.crc, chunk.dtype]


def _window(window: Window) -> list[Any]:
    return list(asdict(window).values())


def parse_index(data: bytes, end: int) -> PackIndex:
    """Read an index back.

    Parameters
    ----------
    data
        What `write_index` returned, as far as anybody knows.
    end
        Where the chunks end: none may reach beyond.

    Raises
    ------
    PackError
        `pack.corrupt`, `pack.too_large`.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_INFLATED_BYTES + 1)
        if len(text) > MAX_INFLATED_BYTES:
            raise PackError("pack.too_large", "The pack's index is larger than one may be.")
        return _Parser(end).index(json.loads(text, parse_constant=_refuse))
    except PackError:
        raise
    except (zlib.error, ValueError, TypeError, LookupError, RecursionError, OverflowError, AttributeError) as error:
        raise _corrupt(type(error).__name__) from error
    except (DecodeError, GeometryError, RenderError) as error:
        raise _corrupt(error.code) from error


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _corrupt(what: str) -> PackError:
    return PackError("pack.corrupt", f"The pack's index is damaged ({what}).")


class _Parser:
    """Reads the document; whatever is not as it must be raises ValueError, TypeError or LookupError."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._readers = dict(_READERS)

    def index(self, document: Mapping[str, Any]) -> PackIndex:
        kind = _one_of(document["kind"], ("volume", "stack"))
        tables = [self._table(one) for one in _list(document["luts"], 10_000)]
        self._readers["voi_luts"] = lambda value: tuple(tables[_integer(n, 0, len(tables))] for n in _list(value, 100))
        shared = self._values(document["shared"])
        rows = _list(document["frames"], MAX_FRAMES)
        _require(bool(rows), "no frames")
        frames = tuple(self._frame({**shared, **self._values(row)}) for row in rows)
        bricks = document["bricks"]
        index = PackIndex(
            kind="volume" if kind == "volume" else "stack",
            modality=_text(document["modality"]),
            frames=frames,
            reason_code=_text(document["reason_code"]),
            reason=_text(document["reason"]),
            frame_of_reference_uid=_text(document["frame_of_reference_uid"]),
            lps_from_ijk=tuple(_number(one) for one in _list(document["lps_from_ijk"], 16)),
            is_uniform=bool(document["is_uniform"]),
            quantiles=tuple((_number(p), _number(v)) for p, v in _list(document["quantiles"], 1000)),
            frame_time_ms=_optional(document["frame_time_ms"], _number),
            levels=tuple(self._level(one) for one in _list(document["levels"], 16)),
            bricks=None if bricks is None else self._bricks(bricks),
        )
        self._require_whole(index)
        return index

    def _require_whole(self, index: PackIndex) -> None:
        """Check what the parts must be to each other."""
        shape = index.shape_kji
        if shape is None:
            _require(not index.levels and index.bricks is None, "levels of a stack")
            return
        _require(
            all(one.samples == 1 and one.chunk is not None and one.shape == shape[1:] for one in index.frames), "slices"
        )
        _require(len(index.lps_from_ijk) == 16 and max(map(abs, index.lps_from_ijk)) < 1e9, "affine")
        affine = np.array(index.lps_from_ijk).reshape(4, 4)
        for scale in (1, 2 ** len(index.levels)):
            # Neither the volume nor its coarsest level may have a geometry that a Volume refuses.
            Volume(np.zeros((1, 1, 1), np.int16), affine * np.array([*[scale] * 3, 1]))
        shapes = [shape, *(level.shape_kji for level in index.levels)]
        _require(all(smaller == halved(larger) for larger, smaller in pairwise(shapes)), "levels")
        _require(index.bricks is None or index.bricks.shape_kji == brick_shape(shape), "bricks")

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Read what is given of a frame; null is what a frame has where nothing is said."""
        return {name: _DEFAULTS[name] if row[name] is None else self._readers[name](row[name]) for name in row}

    def _frame(self, values: dict[str, Any]) -> FrameEntry:
        entry = FrameEntry(**values)
        _require(entry.samples in (1, 3), "samples")
        _require(entry.default_lut is None or entry.default_lut < len(entry.voi_luts), "default table")
        _require(entry.samples == 1 or entry.chunk is None or entry.chunk.dtype == "|u1", "colour")
        _require(entry.chunk is not None or bool(entry.code), "a frame without pixels and without a reason")
        if entry.chunk is not None:
            self._require_room(entry.chunk, entry.rows * entry.columns * entry.samples)
        return entry

    def _chunk(self, row: Any, values: int) -> Chunk:
        chunk = _read_chunk(row)
        self._require_room(chunk, values)
        return chunk

    def _require_room(self, chunk: Chunk, values: int) -> None:
        """Check that a chunk lies in the pack, and may be what so many values become."""
        size = values * _CHUNK_TYPES[chunk.dtype]
        _require(0 < size <= DEFAULT_LIMITS.frame_bytes, "size of a chunk")
        _require(chunk.length <= size + _COMPRESSION_OVERHEAD and chunk.offset + chunk.length <= self._end, "place")

    def _level(self, row: Mapping[str, Any]) -> Level:
        slices, rows, columns = (_integer(one, 1, 1 << 16) for one in row["shape"])
        per_chunk = _integer(row["slices"], 1, 1 << 16)
        given = _list(row["chunks"], MAX_FRAMES)
        _require(len(given) == -(-slices // per_chunk), "chunks of a level")
        chunks = [
            self._chunk(one, min(per_chunk, slices - at * per_chunk) * rows * columns) for at, one in enumerate(given)
        ]
        return Level((slices, rows, columns), per_chunk, tuple(chunks))

    def _bricks(self, row: Mapping[str, Any]) -> BrickIndex:
        slices, rows, columns = (_integer(one, 1, 1 << 16) for one in row["shape"])
        count = slices * rows * columns
        return BrickIndex((slices, rows, columns), self._chunk(row["low"], count), self._chunk(row["high"], count))

    def _table(self, row: Any) -> VoiLut:
        first, bits, explanation, entries = row
        values = tuple(_integer(one, 0, 1 << 16) for one in _list(entries, 1 << 16))
        _require(bool(values), "an empty table")
        return VoiLut(_integer(first, -(1 << 16), 1 << 16), _integer(bits, 1, 17), values, _text(explanation))


def _read_window(row: Any) -> Window:
    center, width, explanation, function = row
    return Window(_number(center), _number(width), _text(explanation), _text(function))


def _read_chunk(row: Any) -> Chunk:
    offset, length, crc, dtype = row
    return Chunk(
        _integer(offset, 0, 1 << 62),
        _integer(length, 1, 1 << 40),
        _integer(crc, 0, 1 << 32),
        _one_of(dtype, tuple(_CHUNK_TYPES)),
    )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _optional(value: Any, read: Callable[[Any], _T]) -> _T | None:
    return None if value is None else read(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1024:
        raise TypeError("text")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("number")
    return float(value)


def _integer(value: Any, low: int, beyond: int) -> int:
    if not isinstance(value, int) or not low <= value < beyond:
        raise ValueError("integer")
    return int(value)


def _numbers(value: Any, count: int) -> Any:
    numbers = tuple(_number(one) for one in _list(value, count))
    _require(len(numbers) == count, "count")
    return numbers


def _list(value: Any, most: int) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) > most:
        raise TypeError("list")
    return value


def _one_of(value: Any, words: Sequence[str]) -> str:
    if value not in words:
        raise ValueError("word")
    return str(value)


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "sop_instance_uid": _text,
    "frame_number": lambda value: _integer(value, 1, 1 << 31),
    "rows": lambda value: _integer(value, 0, 1 << 16),
    "columns": lambda value: _integer(value, 0, 1 << 16),
    "samples": lambda value: _integer(value, 1, 4),
    "instance_number": lambda value: _integer(value, -(1 << 63), 1 << 63),
    "photometric": lambda value: _one_of(value, _PHOTOMETRIC),
    "chunk": _read_chunk,
    "pixel_spacing_mm": lambda value: _numbers(value, 2),
    "is_imager_spacing": bool,
    "image_position_patient": lambda value: _numbers(value, 3),
    "image_orientation_patient": lambda value: _numbers(value, 6),
    "windows": lambda value: tuple(_read_window(one) for one in _list(value, 1000)),
    "default_window": _read_window,
    "default_lut": lambda value: _integer(value, 0, 100),
    "padding": lambda value: _numbers(value, 2),
    "is_lossy_source": bool,
    **dict.fromkeys(("units", "laterality", "code", "sentence"), _text),
    **dict.fromkeys(
        ("slope", "intercept", "rescale_slope", "rescale_intercept", "pixel_aspect", "value_min", "value_max"), _number
    ),
    **dict.fromkeys(("auto_low", "auto_high"), _number),
}
"""How each field of a frame is read; `voi_luts` needs the pack's tables."""

"""What clients send, read as if a stranger had written it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from gantry_render.protocol.messages import (
    MAX_MESSAGE_BYTES,
    MAX_PREFETCH,
    MAX_SIDE_PIXELS,
    MAX_VIEWS,
    Ack,
    CameraState,
    ClientMessage,
    Drop,
    Hello,
    Ping,
    PlaneState,
    Probe,
    ProtocolError,
    SlabMode,
    StackState,
    State,
    View,
    Voi,
    VolumeState,
)


def parse_client_message(text: str) -> ClientMessage:
    """Read a client's text message; every number is checked to be finite and in range.

    Raises
    ------
    ProtocolError
        `message.malformed`, `message.unknown`.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        raise ProtocolError("message.malformed", "The message is too long.")
    try:
        raw = json.loads(text, parse_constant=_refuse_constant)
        kind = raw["type"]
        parse = _PARSERS.get(kind)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ProtocolError("message.malformed", "A message is a JSON object with a type.") from None
    if parse is None:
        raise ProtocolError("message.unknown", "There is no message of this type.")
    try:
        return parse(_Reader(raw))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ProtocolError(
            "message.malformed", f"A {kind} message lacks something, or holds what it may not."
        ) from None


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


class _Reader:
    """One JSON object, read by type and range."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        if not isinstance(raw, dict):
            raise TypeError
        self._raw = raw

    def has(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self._raw.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(name)
        return value

    def real(self, name: str, low: float = -1e9, high: float = 1e9, default: float | None = None) -> float:
        return _real(self._raw.get(name, default), low, high)

    def flag(self, name: str) -> bool:
        value = self._raw.get(name, False)
        if not isinstance(value, bool):
            raise TypeError(name)
        return value

    def text(self, name: str, most: int, default: str | None = None) -> str:
        value = self._raw.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(name)
        return value

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> Any:
        value = self._raw.get(name, default)
        if value not in allowed:
            raise ValueError(name)
        return value

    def list_of(self, name: str, most: int) -> list[Any]:
        value = self._raw.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(name)
        return value

    def reals(self, name: str, count: int) -> Any:
        value = self._raw[name]
        if not isinstance(value, list) or len(value) != count:
            raise ValueError(name)
        return tuple(_real(item, -1e9, 1e9) for item in value)

    def inner(self, name: str) -> _Reader:
        return _Reader(self._raw[name])

    def ids(self, name: str) -> tuple[str, ...]:
        return tuple(str(UUID(_text(item))) for item in self.list_of(name, 64))

    def size(self) -> tuple[int, int]:
        width, height = self.reals("size", 2)
        if not (1 <= width <= MAX_SIDE_PIXELS and 1 <= height <= MAX_SIDE_PIXELS):
            raise ValueError("size")
        return int(width), int(height)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _real(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    number = float(value)
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError
    return number


def _parse_voi(message: _Reader) -> Voi:
    if not message.has("voi"):
        return Voi()
    raw = message.inner("voi")
    kind = raw.one_of("kind", ("default", "window", "lut", "auto"), "default")
    function = raw.one_of("function", ("linear", "linear-exact", "sigmoid"), "linear")
    if kind != "window":
        return Voi(kind, index=raw.whole("index", 0, 255, 0))
    least = 1.0 if function == "linear" else 1e-9
    return Voi(kind, raw.real("center"), raw.real("width", least), function)


def _parse_state(raw: _Reader) -> State:
    kind = raw.one_of("kind", ("stack", "plane", "volume"), "")
    if kind == "stack":
        region = raw.reals("region", 4) if raw.has("region") else None
        if region is not None and not (region[2] > 0 and region[3] > 0):
            raise ValueError("region")
        return StackState(raw.whole("frame", 0, 1 << 24), raw.size(), region, _parse_voi(raw), raw.flag("invert"))
    if kind == "plane":
        return PlaneState(
            raw.reals("center_lps_mm", 3),
            raw.reals("row_lps", 3),
            raw.reals("column_lps", 3),
            raw.real("spacing_mm", 1e-4, 1e4),
            raw.size(),
            raw.real("slab_mm", 0, 1e4, 0.0),
            SlabMode(raw.text("slab_mode", 16, "none")),
            _parse_voi(raw),
            raw.flag("invert"),
            raw.one_of("interpolation", ("linear", "nearest"), "linear"),
            raw.ids("segments"),
        )
    eye = raw.inner("camera")
    camera = CameraState(
        eye.reals("position_lps_mm", 3),
        eye.reals("focal_point_lps_mm", 3),
        eye.reals("view_up_lps", 3),
        eye.real("parallel_scale_mm", 1e-3, 1e6) if eye.has("parallel_scale_mm") else None,
        eye.real("view_angle_deg", 1, 160, 30.0),
    )
    has_crop = raw.has("crop_low_ijk") and raw.has("crop_high_ijk")
    return VolumeState(
        camera,
        raw.size(),
        raw.text("preset", 64),
        raw.real("window_shift", default=0.0),
        raw.real("window_scale", 1e-3, 1e3, 1.0),
        raw.reals("crop_low_ijk", 3) if has_crop else None,
        raw.reals("crop_high_ijk", 3) if has_crop else None,
        raw.ids("meshes"),
        raw.ids("segments"),
        raw.real("mesh_opacity", 0, 1, 1.0),
    )


def _parse_view(raw: _Reader) -> View:
    return View(
        raw.whole("view", 0, MAX_VIEWS - 1),
        raw.whole("state_id", 0, 0xFFFFFFFF),
        _parse_state(raw.inner("state")),
        raw.flag("moving"),
        raw.one_of("quality", ("auto", "lossless"), "auto"),
        tuple(_real(item, -1e9, 1e9) for item in raw.list_of("prefetch", MAX_PREFETCH)),
        raw.whole("holds", -1, 3, -1),
    )


def _parse_hello(raw: _Reader) -> Hello:
    accept = tuple(str(item)[:32] for item in raw.list_of("accept", 8)) or ("image/jpeg", "image/png")
    return Hello(raw.text("ticket", 2048), accept)


def _parse_probe(raw: _Reader) -> Probe:
    most = 1 << 24
    return Probe(
        raw.whole("id", 0, 0xFFFFFFFF),
        raw.whole("frame", 0, most) if raw.has("frame") else None,
        raw.whole("column", 0, most, 0),
        raw.whole("row", 0, most, 0),
        raw.reals("point_lps_mm", 3) if raw.has("point_lps_mm") else None,
    )


_PARSERS: Final[Mapping[str, Callable[[_Reader], ClientMessage]]] = {
    "hello": _parse_hello,
    "view": _parse_view,
    "drop": lambda raw: Drop(raw.whole("view", 0, MAX_VIEWS - 1)),
    "ack": lambda raw: Ack(raw.whole("seq", 0, 0xFFFFFFFF), raw.flag("painted"), raw.whole("held_ms", 0, 3_600_000, 0)),
    "probe": _parse_probe,
    "ping": lambda raw: Ping(),
}
#: The types of messages that clients send.
CLIENT_MESSAGE_TYPES: Final = tuple(_PARSERS)

"""Write the browser's side of the render stream from gantry_render.protocol: `.venv/bin/python scripts/protocol.py`."""

from __future__ import annotations

import struct
import sys
import types
from dataclasses import fields, is_dataclass
from enum import IntEnum, IntFlag, StrEnum
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "platform" / "web" / "src" / "transport" / "protocol.gen.ts"

_PLAIN: Final = {int: "number", float: "number", str: "string", bool: "boolean", types.NoneType: "null"}
_CONSTANTS: Final = (
    "VERSION", "SUBPROTOCOL", "MAX_MESSAGE_BYTES", "MAX_VIEWS", "MAX_PREFETCH", "MAX_SIDE_PIXELS", "IN_FLIGHT",
    "SETTLE_AFTER_MS", "FRAME_MAGIC", "PACKED_MAGIC",
)  # fmt: skip
#: What the fields of FRAME_HEADER are called, in its order; those of Frame, with `region` taken apart.
_HEADER: Final = (
    "magic", "version", "mediaType", "tier", "flags", "view", "seq", "stateId", "width", "height", "queuedUs", "place",
    "left", "top", "across", "down", "windowCenter", "windowWidth", "renderUs", "encodeUs",
)  # fmt: skip
_READERS: Final = {"B": "getUint8", "H": "getUint16", "I": "getUint32", "f": "getFloat32", "d": "getFloat64"}


def build() -> str:
    """Return the TypeScript text: constants, enums, messages, and the reader of frames."""
    from gantry_render import protocol

    names = protocol.__dict__
    retry = [str(code.value) for code in protocol.CloseCode if code.may_retry]
    parts = [
        "// Written by scripts/protocol.py from gantry_render.protocol; change it there.",
        *(f"export const {name} = {_literal(names[name])};" for name in _CONSTANTS),
        f"export const FRAME_HEADER_BYTES = {protocol.FRAME_HEADER.size};",
        *(_enum(names[name]) for name in ("CloseCode", "MediaType", "Tier", "FrameFlag", "SlabMode")),
        f"export const CLOSE_CODES_TO_RETRY: readonly number[] = [{', '.join(retry)}];\n",
        *_interfaces(protocol.messages),
        _reader(protocol.FRAME_HEADER),
    ]
    return "\n".join(parts)


def _literal(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _enum(kind: type[IntEnum] | type[IntFlag] | type[StrEnum]) -> str:
    if issubclass(kind, StrEnum):
        return f"export type {kind.__name__} = {' | '.join(_literal(each.value) for each in kind)};\n"
    members = "\n".join(f"  {each.name}: {each.value}," for each in kind)
    text = f"\n{_comment(kind.__doc__)}export const {kind.__name__} = {{\n{members}\n}} as const;"
    if issubclass(kind, IntFlag):
        return text
    return f"{text}\nexport type {kind.__name__} = (typeof {kind.__name__})[keyof typeof {kind.__name__}];"


def _interfaces(protocol: types.ModuleType) -> list[str]:
    found = []
    for name, value in protocol.__dict__.items():
        if not is_dataclass(value) or name in {"Frame", "TicketClaims"} or not isinstance(value, type):
            continue
        hints = get_type_hints(value, protocol.__dict__)
        lines = "\n".join(f"  {each.name}: {_type(hints[each.name])};" for each in fields(value))
        found.append(f"{_comment(value.__doc__)}export interface {name} {{\n{lines}\n}}\n")
    for name in ("State", "ClientMessage", "ServerMessage"):
        members = " | ".join(kind.__name__ for kind in get_args(protocol.__dict__[name]))
        found.append(f"export type {name} = {members};\n")
    return found


def _comment(docstring: str | None) -> str:
    first = (docstring or "").strip().split("\n\n")[0]
    # A dataclass without words of its own has its signature there.
    if not first or "(" in first.split(" ")[0]:
        return ""
    return f"/** {' '.join(first.split())} */\n"


def _type(hint: Any) -> str:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, type):
        return hint.__name__
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(_literal(value) for value in inner)
    if origin is tuple and inner[-1] is Ellipsis:
        item = _type(inner[0])
        return f"readonly ({item})[]" if " " in item else f"readonly {item}[]"
    if origin is tuple:
        return f"readonly [{', '.join(map(_type, inner))}]"
    if origin in (Union, types.UnionType):
        return " | ".join(map(_type, inner))
    raise TypeError(f"No TypeScript for {hint}.")


def _reader(header: struct.Struct) -> str:
    codes = header.format.removeprefix("<")
    if len(codes) != len(_HEADER):
        raise ValueError("FRAME_HEADER and the names of its fields differ.")
    lines, offset = [], 0
    for code, name in zip(codes, _HEADER, strict=True):
        at = f"{offset}, true" if struct.calcsize(code) > 1 else str(offset)
        lines.append((name, f"view.{_READERS[code]}({at})"))
        offset += struct.calcsize(f"<{code}")
    read = dict(lines)
    plain = [name for name in _HEADER[2:] if name not in {"left", "top", "across", "down"}]
    typed = {"mediaType": "MediaType", "tier": "Tier"}
    shape = "\n".join(f"  {name}: {typed.get(name, 'number')};" for name in plain)
    body = "\n".join(f"    {name}: {read[name]}{f' as {typed[name]}' if name in typed else ''}," for name in plain)
    region = "\n".join(f"      {read[name]}," for name in ("left", "top", "across", "down"))
    return f"""/** One picture; what its header says, and the encoded bytes as a view of the message. */
export interface Frame {{
{shape}
  /** Left, top, width, height. */
  region: readonly [number, number, number, number];
  payload: Uint8Array<ArrayBuffer>;
}}

const MIMES: Record<MediaType, string> = {{
{_mimes()}
}};

/** Name of the picture's encoding for a Blob. */
export const mimeOf = (frame: Frame): string => MIMES[frame.mediaType];

/** Read a binary message; null where it is no frame of this version. */
export function readFrame(message: ArrayBuffer): Frame | null {{
  if (message.byteLength < FRAME_HEADER_BYTES) return null;
  const view = new DataView(message);
  if ({read["magic"]} !== FRAME_MAGIC || {read["version"]} !== VERSION) return null;
  if (!({read["mediaType"]} in MIMES)) return null;
  return {{
{body}
    region: [
{region}
    ],
    payload: new Uint8Array(message, FRAME_HEADER_BYTES),
  }};
}}
"""


def _mimes() -> str:
    from gantry_render.protocol import MediaType

    return "\n".join(f'  {media.value}: "{media.mime}",' for media in MediaType)


def main() -> None:
    """Write the file."""
    sys.path.insert(0, str(ROOT / "rendering"))
    TARGET.write_text(build(), encoding="utf-8")


if __name__ == "__main__":
    main()

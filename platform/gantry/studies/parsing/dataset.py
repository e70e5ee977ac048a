"""Values of a walked data set, read tolerantly: what cannot be read is absent, not an error."""

import datetime as dt
import math
import re
import struct
from collections.abc import Iterator

from gantry.studies.parsing.elements import (
    ITEM,
    SEQUENCE_END,
    UNDEFINED,
    Budget,
    Element,
    Encoding,
    Walk,
    item_encoding,
)
from gantry.studies.parsing.model import MAX_PERSON_NAME_CHARS, MAX_TEXT_CHARS, MAX_VALUES, UID_PATTERN
from gantry.studies.parsing.text import CharacterSet, clean

_MAX_VALUE_BYTES = 8192
_DATE = re.compile(r"(\d{4})[.:-]?(\d{2})[.:-]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(?:\.(\d{1,6}))?)?)?")
_INTEGER = re.compile(r"[+-]?\d{1,12}")
_BINARY = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"FL": "f", b"FD": "d", b"UV": "Q", b"SV": "q"}


class DataSet:
    """The top-level elements of a data set or item, by tag.

    Parameters
    ----------
    charset : CharacterSet, optional
        That of the enclosing data set; an item's own (0008,0005) goes before it.
    """

    def __init__(
        self, buffer: memoryview, encoding: Encoding, budget: Budget, charset: CharacterSet | None = None
    ) -> None:
        self._buffer = buffer
        self._budget = budget
        self._walk = Walk(buffer, encoding, budget)
        self._parent_charset = charset
        self._charset: CharacterSet | None = None

    def walk(self, start: int, end: int, *, is_item: bool = False) -> int:
        """Check and index everything between two offsets; see `Walk.run`."""
        return self._walk.run(start, end, is_item=is_item)

    @property
    def charset(self) -> CharacterSet:
        """The character set in force, known once the data set is walked."""
        if self._charset is None:
            if 0x00080005 in self or self._parent_charset is None:
                self._charset = CharacterSet(self._ascii(0x00080005))
            else:
                self._charset = self._parent_charset
        return self._charset

    def __contains__(self, tag: int) -> bool:
        return tag in self._walk.elements

    def element(self, tag: int) -> Element | None:
        """Return where a value lies."""
        return self._walk.elements.get(tag)

    def raw(self, tag: int) -> bytes:
        """Return the first 8 KiB of a value; empty where it is absent."""
        element = self._walk.elements.get(tag)
        if element is None:
            return b""
        return bytes(self._buffer[element.offset : element.offset + min(element.length, _MAX_VALUE_BYTES)])

    def identifier(self, tag: int) -> str | None:
        """Return a text that identifies something, whole and exact; None where that cannot be had."""
        value = self.raw(tag)
        if len(value) == _MAX_VALUE_BYTES:
            return None
        text = self.charset.decode(value).strip(" \0")
        return text if clean(text, len(text)) == text and "\ufffd" not in text else None

    def text(self, tag: int) -> str:
        """Return a text for display, several values joined by a backslash as they were."""
        return clean(self.charset.decode(self.raw(tag)), MAX_TEXT_CHARS)

    def texts(self, tag: int) -> tuple[str, ...]:
        """Return the values of a text attribute."""
        values = self.charset.decode(self.raw(tag)).split("\\")[:MAX_VALUES]
        return tuple(clean(value, MAX_TEXT_CHARS) for value in values) if any(values) else ()

    def name(self, tag: int) -> str:
        """Return a person name with its component groups."""
        return clean(self.charset.decode_name(self.raw(tag)), MAX_PERSON_NAME_CHARS)

    def code(self, tag: int) -> str:
        """Return a code string in upper case."""
        return clean(self.raw(tag).decode("ascii", "replace"), 64).upper()

    def codes(self, tag: int) -> tuple[str, ...]:
        """Return the values of a code string attribute in upper case."""
        values = self.raw(tag).decode("ascii", "replace").split("\\")[:MAX_VALUES]
        return tuple(clean(value, 64).upper() for value in values) if any(values) else ()

    def uid(self, tag: int) -> str:
        """Return a UID, or an empty string where it is absent or none."""
        value = self.raw(tag).decode("ascii", "replace").strip(" \0")
        return value if UID_PATTERN.fullmatch(value) else ""

    def date(self, tag: int) -> dt.date | None:
        """Return a date: YYYYMMDD, or with the separators of ACR-NEMA."""
        match = _DATE.match(self._ascii(tag))
        if match is None:
            return None
        try:
            return dt.date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            return None

    def time(self, tag: int) -> dt.time | None:
        """Return a time of day; a leap second is its last microsecond before."""
        match = _TIME.fullmatch(self._ascii(tag))
        if match is None:
            return None
        hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
        microsecond = int((match[4] or "").ljust(6, "0"))
        if second == 60:
            second, microsecond = 59, 999_999
        try:
            return dt.time(hour, minute, second, microsecond)
        except ValueError:
            return None

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return finite numbers of DS, IS or a binary VR; empty where one cannot be read."""
        element = self._walk.elements.get(tag)
        if element is None or element.length == 0:
            return ()
        layout = _BINARY.get(element.vr)
        if layout is not None:
            return self._unpack(element, layout)
        try:
            values = tuple(float(part) for part in self._ascii(tag).split("\\")[:MAX_VALUES])
        except ValueError:
            return ()
        return values if all(map(math.isfinite, values)) else ()

    def number(self, tag: int) -> float | None:
        """Return the first number of a value."""
        values = self.numbers(tag)
        return values[0] if values else None

    def integer(self, tag: int, implicit_layout: str = "") -> int | None:
        """Return an integer of 32 bits.

        Parameters
        ----------
        implicit_layout : {"H", "h"}, optional
            The `struct` letter for implicit VR; empty: the value is an Integer String.
        """
        element = self._walk.elements.get(tag)
        if element is None:
            return None
        layout = _BINARY.get(element.vr) or ("" if element.vr in (b"IS", b"DS") else implicit_layout)
        if layout:
            values = self._unpack(element, layout)
            return int(values[0]) if values and values[0] == int(values[0]) and abs(values[0]) < 2**32 else None
        text = self._ascii(tag).split("\\")[0].strip()
        number = int(text) if _INTEGER.fullmatch(text) else None
        return number if number is not None and -(2**31) <= number < 2**31 else None

    def items(self, tag: int, limit: int) -> Iterator["DataSet"]:
        """Yield up to so many items of a sequence; none where it is no sequence."""
        element = self._walk.elements.get(tag)
        if element is None or element.fragments >= 0:
            return
        layout = struct.Struct(element.encoding.order + "HHI")
        position, end = element.offset, element.offset + element.length
        while end - position >= 8 and limit > 0:
            group, number, length = layout.unpack_from(self._buffer, position)
            position += 8
            if group << 16 | number == SEQUENCE_END:
                continue
            if group << 16 | number != ITEM:
                return
            encoding = item_encoding(self._buffer, position, element)
            item = DataSet(self._buffer, encoding, self._budget, self.charset)
            if length == UNDEFINED:
                position = item.walk(position, end, is_item=True)
            else:
                position = item.walk(position, position + length)
            yield item
            limit -= 1

    def item(self, tag: int) -> "DataSet | None":
        """Return the first item of a sequence."""
        return next(self.items(tag, 1), None)

    def _ascii(self, tag: int) -> str:
        return self.raw(tag).decode("ascii", "replace").strip(" \0")

    def _unpack(self, element: Element, layout: str) -> tuple[float, ...]:
        size = struct.calcsize(layout)
        count = min(element.length // size, MAX_VALUES)
        values = struct.unpack_from(f"{element.encoding.order}{count}{layout}", self._buffer, element.offset)
        return values if all(map(math.isfinite, values)) else ()

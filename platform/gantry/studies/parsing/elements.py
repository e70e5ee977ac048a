"""The walk over a data set's elements: every length is checked before anything is believed (PS3.5 §7).

One iterative pass visits every element, nested ones included, and keeps where the top-level ones lie. What is
read later is read from these places, so guard and reader cannot see two different files.
"""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary

from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.rejections import ParseRefusedError

_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_TAGS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SEQUENCE_TAGS = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")

# Elements that say whose and which this is: two different values of one leave the choice to the reader.
_STUDY_TAGS = (0x00080005, 0x00080016, 0x00080018, 0x00080050, 0x0020000D, 0x0020000E)
_PATIENT_TAGS = (0x00100010, 0x00100020, 0x00100021, 0x00100030)
_IDENTITY_TAGS = frozenset((*_STUDY_TAGS, *_PATIENT_TAGS))


class Encoding(NamedTuple):
    """How the elements of a data set are written."""

    is_little_endian: bool
    is_implicit: bool

    @property
    def order(self) -> str:
        """The byte order as `struct` writes it."""
        return "<" if self.is_little_endian else ">"


IMPLICIT_LITTLE = Encoding(is_little_endian=True, is_implicit=True)
EXPLICIT_LITTLE = Encoding(is_little_endian=True, is_implicit=False)
EXPLICIT_BIG = Encoding(is_little_endian=False, is_implicit=False)


class Element(NamedTuple):
    """Where a value lies: `vr` is empty under implicit VR; `length` excludes the closing delimiter."""

    vr: bytes
    offset: int
    length: int
    encoding: Encoding
    fragments: int = -1
    """Number of fragments of an encapsulated value, the offset table not counted; -1: not encapsulated."""


@dataclass(slots=True)
class Budget:
    """What is left to spend on one file."""

    max_depth: int
    elements: int

    @classmethod
    def of(cls, limits: ParserLimits) -> "Budget":
        """Return the whole budget of a file."""
        return cls(max_depth=limits.max_depth, elements=limits.max_elements)


@dataclass(slots=True)
class _Frame:
    """A data set or sequence that is being walked."""

    end: int
    encoding: Encoding
    is_sequence: bool
    is_undefined: bool
    offset: int
    tag: int = 0
    vr: bytes = b""
    is_opaque: bool = False
    """A value that looks like a sequence and may be none: what is broken in it is skipped, not refused."""


def item_encoding(buffer: memoryview, position: int, sequence: _Frame | Element) -> Encoding:
    """Return how an item is written: inside UN implicit little endian (PS3.5 §6.2.2), though some differ."""
    if sequence.vr != b"UN":
        return sequence.encoding
    return EXPLICIT_LITTLE if has_vr(buffer, position) else IMPLICIT_LITTLE


def has_vr(buffer: memoryview, position: int) -> bool:
    """Whether the element here is written with its VR, as far as one can tell."""
    vr = bytes(buffer[position + 4 : position + 6])
    return len(vr) == 2 and vr.isalpha() and vr.isupper()


@dataclass(slots=True)
class Walk:
    """A walk over one data set.

    Attributes
    ----------
    elements : dict of int to Element
        The top-level elements by tag, filled as the walk goes: a refusal can say what it is about.
    """

    buffer: memoryview
    encoding: Encoding
    budget: Budget
    elements: dict[int, Element] = field(default_factory=dict)

    def run(self, start: int, end: int, *, is_item: bool = False) -> int:
        """Walk from `start`; return where the data set ended.

        Parameters
        ----------
        is_item : bool
            The data set is an item of undefined length and ends at its delimiter rather than at `end`.

        Raises
        ------
        ParseRefusedError
            ``dicom.truncated``, ``dicom.malformed``, ``dicom.undefined_length``, ``dicom.nested_too_deep``,
            ``dicom.too_many_elements``, ``dicom.contradictory``.
        """
        stack = [_Frame(end, self.encoding, is_sequence=False, is_undefined=is_item, offset=start)]
        position = start
        while stack:
            try:
                position = self._step(stack, position)
            except ParseRefusedError as error:
                if error.code not in ("dicom.malformed", "dicom.truncated", "dicom.undefined_length"):
                    raise
                while stack and not stack[-1].is_opaque:
                    stack.pop()
                if not stack:
                    raise
                position = stack.pop().end
        return position

    def _step(self, stack: list[_Frame], position: int) -> int:
        """Take one element, item or delimiter; return where the next begins."""
        frame = stack[-1]
        if position >= frame.end - 7:
            return self._close_at_end(stack, position)
        self.budget.elements -= 1
        if self.budget.elements < 0:
            raise ParseRefusedError("dicom.too_many_elements")
        if frame.is_sequence:
            return self._step_item(stack, frame, position)
        return self._step_element(stack, frame, position)

    def _close_at_end(self, stack: list[_Frame], position: int) -> int:
        frame = stack[-1]
        if position == frame.end and not frame.is_undefined:
            stack.pop()
            self._keep_sequence(stack, frame, position)
            return position
        if len(stack) == 1 and not any(self.buffer[position : frame.end]):
            stack.pop()
            return frame.end  # a few zero bytes of padding after the last element
        raise ParseRefusedError("dicom.truncated" if frame.end == len(self.buffer) else "dicom.malformed")

    def _keep_sequence(self, stack: list[_Frame], frame: _Frame, end: int) -> None:
        if frame.is_sequence and len(stack) == 1:
            self._keep(frame.tag, Element(frame.vr, frame.offset, end - frame.offset, frame.encoding))

    def _keep(self, tag: int, element: Element) -> None:
        known = self.elements.get(tag)
        if known is not None and tag in _IDENTITY_TAGS and self._bytes(known) != self._bytes(element):
            raise ParseRefusedError("dicom.contradictory")
        self.elements[tag] = element

    def _bytes(self, element: Element) -> bytes:
        return bytes(self.buffer[element.offset : element.offset + element.length])

    def _step_item(self, stack: list[_Frame], frame: _Frame, position: int) -> int:
        group, number, length = struct.unpack_from(frame.encoding.order + "HHI", self.buffer, position)
        tag, position = group << 16 | number, position + 8
        if tag == SEQUENCE_END:
            if frame.is_undefined or position == frame.end:
                stack.pop()
                self._keep_sequence(stack, frame, position - 8)
            return position  # inside a sequence of defined length a delimiter says nothing
        if tag != ITEM:
            raise ParseRefusedError("dicom.malformed")
        end, is_undefined = self._extent(frame, position, length)
        encoding = item_encoding(self.buffer, position, frame)
        stack.append(_Frame(end, encoding, is_sequence=False, is_undefined=is_undefined, offset=position))
        return position

    def _extent(self, frame: _Frame, position: int, length: int) -> tuple[int, bool]:
        """Return the end of a value that lies in a frame, and whether a delimiter has to end it."""
        if length == UNDEFINED:
            return frame.end, True
        if length > frame.end - position:
            if length == UNDEFINED - 1:
                raise ParseRefusedError("dicom.undefined_length")
            is_cut_off = length > len(self.buffer) - position
            raise ParseRefusedError("dicom.truncated" if is_cut_off else "dicom.malformed")
        return position + length, False

    def _step_element(self, stack: list[_Frame], frame: _Frame, position: int) -> int:
        encoding = frame.encoding
        order = encoding.order
        group, number, vr, length = struct.unpack_from(order + "HH2sH", self.buffer, position)
        tag = group << 16 | number
        if tag == ITEM_END and frame.is_undefined:
            stack.pop()
            return position + 8
        if encoding.is_implicit or not (b"AA" <= vr <= b"ZZ"):
            # Under explicit VR: elements copied from an implicit data set without their VR.
            (length,) = struct.unpack_from(order + "I", self.buffer, position + 4)
            encoding = Encoding(encoding.is_little_endian, is_implicit=True)
            vr = b""
            position += 8
        elif vr in LONG_VRS:
            if frame.end - position < 12:
                raise ParseRefusedError("dicom.truncated" if frame.end == len(self.buffer) else "dicom.malformed")
            (length,) = struct.unpack_from(order + "I", self.buffer, position + 8)
            position += 12
        else:
            position += 8
        element = Element(vr, position, length, encoding)
        if self._opens_sequence(tag, element):
            return self._open_sequence(stack, tag, element)
        if length == UNDEFINED:
            if tag not in PIXEL_TAGS and vr not in (b"OB", b"OW"):
                raise ParseRefusedError("dicom.undefined_length")
            return self._walk_fragments(stack, tag, element)
        end, _ = self._extent(frame, position, length)
        if len(stack) == 1:
            self._keep(tag, element)
        return end

    def _opens_sequence(self, tag: int, element: Element) -> bool:
        if element.vr == b"SQ":
            return True
        if element.vr not in (b"", b"UN"):
            return False
        if element.length == UNDEFINED:
            return tag not in PIXEL_TAGS
        if tag in _SEQUENCE_TAGS:
            return True
        # Private, or unknown to its writer: later readers may look into it, so its depth counts too.
        return element.length >= 8 and bytes(self.buffer[element.offset : element.offset + 4]) in _ITEM_TAGS

    def _open_sequence(self, stack: list[_Frame], tag: int, element: Element) -> int:
        end, is_undefined = self._extent(stack[-1], element.offset, element.length)
        if sum(frame.is_sequence for frame in stack) >= self.budget.max_depth:
            raise ParseRefusedError("dicom.nested_too_deep")
        is_known = element.vr == b"SQ" or (not element.vr and tag in _SEQUENCE_TAGS)
        stack.append(
            _Frame(
                end,
                IMPLICIT_LITTLE if element.vr == b"UN" else element.encoding,
                is_sequence=True,
                is_undefined=is_undefined,
                offset=element.offset,
                tag=tag,
                vr=element.vr,
                is_opaque=not is_undefined and not is_known,
            )
        )
        return element.offset

    def _walk_fragments(self, stack: list[_Frame], tag: int, element: Element) -> int:
        """Walk an encapsulated value (PS3.5 §A.4) to its delimiter."""
        unpack = struct.Struct(element.encoding.order + "HHI").unpack_from
        frame, position, count = stack[-1], element.offset, 0
        while frame.end - position >= 8:
            group, number, length = unpack(self.buffer, position)
            fragment_tag, position = group << 16 | number, position + 8
            if fragment_tag == SEQUENCE_END:
                if len(stack) == 1:
                    size = position - 8 - element.offset
                    self._keep(tag, element._replace(length=size, fragments=max(0, count - 1)))
                return position
            if fragment_tag != ITEM:
                raise ParseRefusedError("dicom.malformed")
            if length >= UNDEFINED - 1:
                raise ParseRefusedError("dicom.undefined_length")
            position, _ = self._extent(frame, position, length)
            count += 1
            self.budget.elements -= 1
            if self.budget.elements < 0:
                raise ParseRefusedError("dicom.too_many_elements")
        raise ParseRefusedError("dicom.truncated")

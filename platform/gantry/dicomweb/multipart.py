"""Multipart bodies as they arrive (RFC 2046 §5.1, RFC 2387, PS3.18 §8.6.1.2)."""

import enum
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"\s*({_TCHARS})/({_TCHARS})\s*(?=;|$)")
# An unquoted value may hold "/", although RFC 2045 wants it quoted: `type=application/dicom` is common.
_PARAMETER = re.compile(rf';\s*(?:({_TCHARS})\s*=\s*(?:"((?:[^"\\\x00-\x1f]|\\.)*)"|([^\s;",\\]+))\s*)?(?=;|$)')
_BOUNDARY = re.compile(r"[ -~]{0,199}[!-~]")  # wider than RFC 2046 §5.1.1, and what senders write
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class MultipartError(Exception):
    """A multipart body or Content-Type that cannot be read.

    Attributes
    ----------
    code : str
        ``multipart.malformed``, ``multipart.truncated``, ``multipart.too_many_parts`` or
        ``multipart.headers_too_large``.
    sentence : str
        What is wrong, for the person or program that sent it; never holds bytes of the body.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type in lower case, and its parameters by lower-case name with quotes removed."""

    media_type: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MultipartLimits:
    """What one body may ask of the parser; part sizes are the receiver's to bound."""

    max_parts: int = 10_000
    max_header_bytes: int = 16 * 1024
    max_padding_bytes: int = 64 * 1024
    """Bytes before the first boundary, and after the last."""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins; header names are in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """Bytes of the part, valid until the next call of `feed`; never empty."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is whole."""


Event = PartBegin | PartData | PartEnd


def parse_content_type(value: str) -> ContentType:
    """Read a Content-Type (RFC 2045 §5.1, RFC 2387), with quoted or unquoted parameters.

    Raises
    ------
    MultipartError
        ``multipart.malformed``: not a media type, or a parameter that is broken or given twice.
    """
    match = _MEDIA_TYPE.match(value)
    if match is None:
        raise MultipartError("multipart.malformed", "The Content-Type is not a media type.")
    parameters: dict[str, str] = {}
    position = match.end()
    while position < len(value):
        parameter = _PARAMETER.match(value, position)
        if parameter is None:
            raise MultipartError("multipart.malformed", "A parameter of the Content-Type cannot be read.")
        position = parameter.end()
        name, quoted, plain = parameter.groups()
        if name is None:  # an empty parameter: "a/b;" and "a/b;;c=d"
            continue
        if name.lower() in parameters:
            raise MultipartError("multipart.malformed", f"The Content-Type gives {name.lower()} twice.")
        parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return ContentType(f"{match[1]}/{match[2]}".lower(), parameters)


class _State(enum.Enum):
    PREAMBLE = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    EPILOGUE = enum.auto()


class MultipartParser:
    """Turns chunks of a body into parts, holding back no more than one boundary and one header block.

    Delimiter lines must end in CRLF: with bare LF nobody can say whether a CR before the boundary belongs to
    the image. The work is linear in the bytes fed, however they are cut.

    Parameters
    ----------
    boundary : str
        The ``boundary`` parameter of the Content-Type.

    Raises
    ------
    MultipartError
        ``multipart.malformed``: no usable boundary.
    """

    def __init__(self, boundary: str, limits: MultipartLimits | None = None) -> None:
        if _BOUNDARY.fullmatch(boundary) is None:
            raise MultipartError("multipart.malformed", "The Content-Type has no usable boundary.")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._limits = limits or MultipartLimits()
        self._state = _State.PREAMBLE
        self._held = b"\r\n"  # the first boundary may open the body, without a line break before it
        self._headers = bytearray()
        self._padding_bytes = 0
        self._parts = 0
        self._is_feeding = False

    @property
    def is_finished(self) -> bool:
        """Whether the closing boundary was seen."""
        return self._state is _State.EPILOGUE

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what these bytes complete; exhaust the iterator before feeding the next.

        Raises
        ------
        MultipartError
            ``multipart.malformed``, ``multipart.too_many_parts``, ``multipart.headers_too_large``; events
            yielded before it are good.
        """
        if self._is_feeding:
            raise RuntimeError("the events of the previous chunk were not read to the end")
        self._is_feeding = True
        chunk = self._held + data if self._held else data
        self._held = b""
        position = 0
        while position < len(chunk):
            if self._state is _State.EPILOGUE:
                self._count_padding(len(chunk) - position)
                break
            if self._state is _State.HEADERS:
                position, headers = self._take_headers(chunk, position)
                if headers is not None:
                    yield PartBegin(headers)
                continue
            in_part = self._state is _State.BODY
            end, after, is_last = self._find_delimiter(chunk, position)
            if end > position:
                if in_part:
                    yield PartData(memoryview(chunk)[position:end])
                else:
                    self._count_padding(end - position)
            if after is None:
                self._held = chunk[end:]
                break
            if in_part:
                yield PartEnd()
            self._open_next(is_last=is_last)
            position = after
        self._is_feeding = False

    def close(self) -> None:
        """Say that the body has ended.

        Raises
        ------
        MultipartError
            ``multipart.truncated``: no closing boundary came; ``multipart.malformed``: no boundary at all.
        """
        if self._state is _State.PREAMBLE:
            raise MultipartError(
                "multipart.malformed", "The boundary named in the Content-Type does not occur in the body."
            )
        if self._state is not _State.EPILOGUE:
            raise MultipartError("multipart.truncated", "The body ended before its closing boundary.")

    def _find_delimiter(self, chunk: bytes, position: int) -> tuple[int, int | None, bool]:
        """Return where content ends, where to go on (None: more bytes are needed), and whether it closes."""
        delimiter = self._delimiter
        start = position
        while (found := chunk.find(delimiter, start)) >= 0:
            line = found + len(delimiter)
            if chunk.startswith(b"--", line):
                return found, line + 2, True
            stop = min(len(chunk), line + 66)  # transport padding (RFC 2046 §5.1.1), within reason
            cursor = line
            while cursor < stop and chunk[cursor] in b" \t":
                cursor += 1
            if chunk.startswith(b"\r\n", cursor):
                return found, cursor, False
            rest = chunk[cursor : cursor + 2]
            if cursor < line + 66 and (rest in (b"", b"\r") or (cursor == line and rest == b"-")):
                return found, None, False
            start = found + 1  # the boundary is a prefix of something else: content
        # The delimiter's only CR is its first byte: the last CR alone can begin one that is cut off here.
        cut = chunk.rfind(b"\r", max(start, len(chunk) - len(delimiter) + 1))
        if cut >= 0 and delimiter.startswith(chunk[cut:]):
            return cut, None, False
        return len(chunk), None, False

    def _open_next(self, *, is_last: bool) -> None:
        if is_last:
            self._state = _State.EPILOGUE
            self._padding_bytes = 0
            return
        self._parts += 1
        if self._parts > self._limits.max_parts:
            raise MultipartError(
                "multipart.too_many_parts",
                f"The body has more than {self._limits.max_parts} parts.",
            )
        self._headers.clear()
        self._state = _State.HEADERS

    def _take_headers(self, chunk: bytes, position: int) -> tuple[int, Mapping[str, str] | None]:
        """Collect the header block, which begins with the CRLF that ends the boundary line."""
        known = len(self._headers)
        self._headers += chunk[position : position + self._limits.max_header_bytes + 4 - known]
        end = self._headers.find(b"\r\n\r\n", max(0, known - 3))
        if end >= 0:
            del self._headers[end + 2 :]
            self._state = _State.BODY
            return position + end + 4 - known, self._parse_headers()
        if len(self._headers) >= self._limits.max_header_bytes + 4:
            raise MultipartError("multipart.headers_too_large", "The headers of a part are too large.")
        return len(chunk), None

    def _parse_headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        unfolded = re.sub(rb"\r\n[ \t]+", b" ", bytes(self._headers))
        for line in unfolded.split(b"\r\n"):
            if not line:
                continue
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            key = name.strip().lower()
            if not colon or re.fullmatch(_TCHARS, key) is None or _CONTROL.search(value):
                raise MultipartError("multipart.malformed", "A header of a part cannot be read.")
            if key in headers:
                raise MultipartError("multipart.malformed", f"A part gives the header {key} twice.")
            headers[key] = value.strip()
        return headers

    def _count_padding(self, size_bytes: int) -> None:
        self._padding_bytes += size_bytes
        if self._padding_bytes > self._limits.max_padding_bytes:
            where = "after the closing boundary" if self.is_finished else "before the first boundary"
            raise MultipartError("multipart.malformed", f"The body has too many bytes {where}.")


class MultipartWriter:
    """Frames the parts of a response, such as WADO-RS's ``multipart/related; type="application/dicom"``.

    Parameters
    ----------
    boundary : str, optional
        A fresh random one where omitted, which no image can hold by chance.
    """

    def __init__(self, boundary: str | None = None) -> None:
        self.boundary = boundary or secrets.token_hex(20)
        if _BOUNDARY.fullmatch(self.boundary) is None:
            raise ValueError("not a boundary")

    def content_type(self, part_media_type: str = "application/dicom", subtype: str = "related") -> str:
        """Return the Content-Type of the whole body (RFC 2387 §3.1: `type` is that of the root part)."""
        return f'multipart/{subtype}; type="{part_media_type}"; boundary="{self.boundary}"'

    def begin_part(self, headers: Mapping[str, str]) -> bytes:
        """Return what stands before the part's bytes; call it once for each part, then `close`."""
        lines = [f"\r\n--{self.boundary}"]
        for name, value in headers.items():
            if re.fullmatch(_TCHARS, name) is None or _CONTROL.search(value):
                raise ValueError("a header name or value would break the message")
            lines.append(f"{name}: {value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def close(self) -> bytes:
        """Return what stands after the last part."""
        return f"\r\n--{self.boundary}--\r\n".encode("ascii")

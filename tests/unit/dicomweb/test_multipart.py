"""Multipart: what a sender may write, however the network cuts it, and what is refused."""

import email.message
import email.parser
import email.policy
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gantry.dicomweb.multipart import (
    ContentType,
    MultipartError,
    MultipartLimits,
    MultipartParser,
    MultipartWriter,
    PartBegin,
    PartData,
    PartEnd,
    parse_content_type,
)

Part = tuple[dict[str, str], bytes]


def parse(chunks: Iterable[bytes], boundary: str = "b", limits: MultipartLimits | None = None) -> list[Part]:
    parser = MultipartParser(boundary, limits)
    parts: list[Part] = []
    body = bytearray()
    headers: dict[str, str] = {}
    for chunk in chunks:
        for event in parser.feed(chunk):
            match event:
                case PartBegin():
                    headers = dict(event.headers)
                case PartData():
                    assert len(event.data) > 0
                    body += event.data
                case PartEnd():
                    parts.append((headers, bytes(body)))
                    body.clear()
    parser.close()
    return parts


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({p % (len(body) + 1) for p in places}), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


BODY = (
    b"a preamble\r\n--b\r\nContent-Type: application/dicom\r\n\r\none\r\n--bee\r\n-"
    b"\r\n--b \t\r\nX: 1\r\n folded\r\n\r\n\r\n--b\r\n\r\n\r\ntwo\r\r\n\r\n--b--\r\nan epilogue"
)
PARTS: list[Part] = [
    ({"content-type": "application/dicom"}, b"one\r\n--bee\r\n-"),
    ({"x": "1 folded"}, b""),
    ({}, b"\r\ntwo\r\r\n"),
]


def test_parts_are_found_when_the_body_comes_at_once() -> None:
    assert parse([BODY]) == PARTS


def test_parts_are_the_same_when_every_byte_comes_alone() -> None:
    assert parse(BODY[i : i + 1] for i in range(len(BODY))) == PARTS


def test_parts_are_the_same_when_cut_at_any_one_place() -> None:
    for place in range(len(BODY) + 1):
        assert parse([BODY[:place], BODY[place:]]) == PARTS, place


payload = st.binary(max_size=200) | st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"\r\n--b", b"\r\n--bo", b" ", b"b", b"x"]),
    max_size=30,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(st.lists(payload, min_size=1, max_size=4), st.lists(st.integers(0, 2000), max_size=40))
@example([b"\r\n--b"], [1, 2, 3])
def test_what_the_writer_frames_is_what_the_parser_finds_when_cut_anywhere(
    bodies: list[bytes], places: list[int]
) -> None:
    boundary = "boundary"
    if any(b"--boundary" in body for body in bodies):  # choosing another boundary is the sender's duty
        return
    writer = MultipartWriter(boundary)
    message = b"".join(
        writer.begin_part({"Content-Type": "application/dicom", "Content-Location": f"/{n}"}) + body
        for n, body in enumerate(bodies)
    )
    message += writer.close()
    found = parse(cut(message, places), boundary)
    assert [body for _, body in found] == bodies
    assert [headers["content-location"] for headers, _ in found] == [f"/{n}" for n in range(len(bodies))]


@settings(deadline=None, max_examples=300)
@given(payload, st.lists(st.integers(0, 2000), max_size=20))
def test_hostile_bytes_give_the_same_outcome_when_cut_differently(body: bytes, places: list[int]) -> None:
    def outcome(chunks: list[bytes]) -> object:
        try:
            return parse(chunks)
        except MultipartError as error:
            return error.code

    message = b"--b\r\n\r\n" + body + b"\r\n--b--"
    assert outcome([message]) == outcome(cut(message, places))


@pytest.mark.parametrize("size", range(len(BODY) - len(b"--\r\nan epilogue")))
def test_truncation_is_noticed_when_the_body_ends_early(size: int) -> None:
    with pytest.raises(MultipartError) as caught:
        parse([BODY[:size]])
    expected = "multipart.malformed" if size < BODY.index(b"--b") + len(b"--b\r\n") else "multipart.truncated"
    assert caught.value.code == expected


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "multipart.malformed"),
        (b"--other\r\n\r\nx\r\n--other--", "multipart.malformed"),
        (b"--b\n\nLF only\n--b--\n", "multipart.malformed"),
        (b"--b\r\nno colon\r\n\r\nx\r\n--b--", "multipart.malformed"),
        (b"--b\r\nbad name: 1\r\n\r\nx\r\n--b--", "multipart.malformed"),
        (b"--b\r\nA: 1\r\na: 2\r\n\r\nx\r\n--b--", "multipart.malformed"),
        (b"--b\r\nA: \x00\r\n\r\nx\r\n--b--", "multipart.malformed"),
        (b"--b\r\nA: " + b"x" * 2000 + b"\r\n\r\nx\r\n--b--", "multipart.headers_too_large"),
        (b"--b\r\n\r\nx\r\n" * 6 + b"--b--", "multipart.too_many_parts"),
        (b"x" * 5000 + b"\r\n--b\r\n\r\nx\r\n--b--", "multipart.malformed"),
        (b"--b\r\n\r\nx\r\n--b--" + b"x" * 5000, "multipart.malformed"),
        (b"--b\r\n\r\nx\r\n--b", "multipart.truncated"),
    ],
)
def test_body_is_refused_with_a_code_when_it_breaks_a_rule(body: bytes, code: str) -> None:
    limits = MultipartLimits(max_parts=5, max_header_bytes=1000, max_padding_bytes=1000)
    for chunks in ([body], [body[i : i + 7] for i in range(0, len(body), 7)]):
        with pytest.raises(MultipartError) as caught:
            parse(chunks, limits=limits)
        assert caught.value.code == code


@pytest.mark.parametrize("boundary", ["", "a\r\nb", "a b ", "x" * 300, "ü", "a\x00"])
def test_parser_refuses_when_the_boundary_is_unusable(boundary: str) -> None:
    with pytest.raises(MultipartError) as caught:
        MultipartParser(boundary)
    assert caught.value.code == "multipart.malformed"


def test_feeding_is_refused_when_the_previous_chunk_was_not_read() -> None:
    parser = MultipartParser("b")
    next(parser.feed(BODY))
    with pytest.raises(RuntimeError):
        next(parser.feed(b"more"))


def test_body_is_read_to_its_end_when_it_is_full_of_almost_boundaries() -> None:
    boundary = "b" + "o" * 69
    filler = (b"\r\n--b" + b"o" * 60) * 60_000  # 4 MB: quadratic work would not end
    message = f"--{boundary}\r\n\r\n".encode() + filler + f"\r\n--{boundary}--".encode()
    assert parse((message[i : i + 100] for i in range(0, len(message), 100)), boundary) == [({}, filler)]


def test_header_is_refused_when_it_never_ends() -> None:
    parser = MultipartParser("b")
    list(parser.feed(b"--b\r\nA: "))
    list(parser.feed(b"x" * 16_000))
    with pytest.raises(MultipartError) as caught:
        list(parser.feed(b"x" * 65_536))
    assert caught.value.code == "multipart.headers_too_large"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("multipart/related; type=application/dicom; boundary=abc",
         ContentType("multipart/related", {"type": "application/dicom", "boundary": "abc"})),
        ('Multipart/Related;TYPE="application/dicom";Boundary="a b\\"c"',
         ContentType("multipart/related", {"type": "application/dicom", "boundary": 'a b"c'})),
        ("application/dicom", ContentType("application/dicom", {})),
        (" text/plain ; charset = utf-8 ; ", ContentType("text/plain", {"charset": "utf-8"})),
        ("application/dicom; transfer-syntax=*", ContentType("application/dicom", {"transfer-syntax": "*"})),
    ],
)  # fmt: skip
def test_content_type_is_read_when_quoted_or_not(value: str, expected: ContentType) -> None:
    assert parse_content_type(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "multipart",
        "a/b c",
        "a/b; x",
        'a/b; x="y',
        "a/b; x=1; X=2",
        "a/b, c/d",
        "a/b; x=y z",
        "a/b; =1",
        "a/b\r\nX: 1",
    ],
)
def test_content_type_is_refused_when_malformed(value: str) -> None:
    with pytest.raises(MultipartError) as caught:
        parse_content_type(value)
    assert caught.value.code == "multipart.malformed"


def test_writer_output_is_read_when_an_independent_parser_reads_it() -> None:
    writer = MultipartWriter()
    parts = [b"first", b"second\n\n"]
    message = b"Content-Type: " + writer.content_type().encode() + b"\r\n\r\n"
    message += (
        b"".join(writer.begin_part({"Content-Type": "application/dicom"}) + part for part in parts) + writer.close()
    )
    read = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(message)
    assert read.get_content_type() == "multipart/related"
    payloads = [
        part.get_payload(decode=True) for part in read.iter_parts() if isinstance(part, email.message.EmailMessage)
    ]
    assert payloads == parts


def test_writer_refuses_when_a_header_would_break_the_message() -> None:
    for headers in ({"A": "x\r\nB: y"}, {"A b": "x"}, {"A\r\n": "x"}):
        with pytest.raises(ValueError, match="break"):
            MultipartWriter().begin_part(headers)

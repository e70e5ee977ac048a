"""The child's output is not trusted: whatever it says, the parent keeps to the model or refuses."""

import dataclasses
import datetime as dt
import json
import random
import struct
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.studies.parsing.codec import UntrustedResultError, from_json, to_json
from gantry.studies.parsing.header import parse
from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.model import ParsedInstance, Rejection
from gantry.studies.parsing.rejections import SENTENCES
from hostile_dicom import BEFORE_PIXELS, DEFLATED, body, corpus, deflate, encapsulated, file, nested

SOUND = parse(memoryview(file(body())), ParserLimits())
assert isinstance(SOUND, ParsedInstance)
DOCUMENT = json.loads(to_json(SOUND))


def changed(*keys: str, value: object) -> bytes:
    document = json.loads(json.dumps(DOCUMENT))
    inner = document["parsed"]
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"parsed":{}}',
        b'{"parsed":{},"rejected":{}}',
        b'{"other":{}}',
        b'{"rejected":{"code":"no.such.code","sentence":"x"}}',
        b'{"rejected":{"code":"dicom.empty","sentence":"x","study_instance_uid":"../x"}}',
        changed("sop_instance_uid", value="../../x"),
        changed("sop_instance_uid", value=""),
        changed("study_instance_uid", value="1." * 40 + "1"),
        changed("preamble", value="MZ"),
        changed("unknown", value=1),
        changed("patient", value=None),
        changed("patient", "patient_name", value="a\x00b"),
        changed("patient", "patient_name", value="a" * 513),
        changed("patient", "patient_name", value="\ud800"),
        changed("patient", "patient_id", value="a" * 129),
        changed("patient", "patient_id", value=7),
        changed("patient", "birth_date", value="yesterday"),
        changed("image", "rows", value="4"),
        changed("image", "rows", value=True),
        changed("image", "rows", value=2**64),
        changed("image", "rescale_slope", value=float("nan")),
        changed("image", "rescale_slope", value=10**400),
        changed("image", "window_center", value=[0.0] * 5000),
        changed("image", "window_center", value=[[0.0]]),
        changed("image", "has_voi_lut", value=1),
    ],
)
def test_result_is_refused_when_it_is_not_of_the_model(data: bytes) -> None:
    with pytest.raises(UntrustedResultError):
        from_json(data)


def test_sentence_is_ours_when_the_child_says_another() -> None:
    outcome = from_json(b'{"rejected":{"code":"dicom.empty","sentence":"<script>"}}')
    assert isinstance(outcome, Rejection)
    assert outcome.sentence == SENTENCES["dicom.empty"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*DOCUMENT["parsed"], "x"]), inner),
    max_leaves=10,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(DOCUMENT["parsed"])), json_values)
def test_result_is_of_the_model_or_refused_when_a_field_is_anything(key: str, value: object) -> None:
    try:
        outcome = from_json(changed(key, value=value))
    except UntrustedResultError:
        return
    assert from_json(to_json(outcome)) == outcome


def filled(kind: object) -> object:
    """Return a value of a type of the model in which nothing is empty."""
    samples: dict[object, object] = {
        str: "1.2",
        bool: True,
        int: 7,
        float: 0.25,
        dt.date: dt.date(2026, 2, 28),
        dt.time: dt.time(1, 2, 3, 4),
    }
    if kind in samples:
        return samples[kind]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: filled(hints[field.name]) for field in dataclasses.fields(kind)})
    first = typing.get_args(kind)[0]
    return (filled(first),) * 2 if typing.get_origin(kind) is tuple else filled(first)


def test_every_field_survives_when_it_is_set() -> None:
    instance = filled(ParsedInstance)
    assert isinstance(instance, ParsedInstance)
    instance = dataclasses.replace(instance, preamble="tiff")
    assert from_json(to_json(instance)) == instance


def seeds() -> list[bytes]:
    small = [hostile.data for hostile in corpus() if len(hostile.data) < 5000]
    jpeg = file(
        BEFORE_PIXELS + encapsulated(bytes(90), bytes(20), table=struct.pack("<I", 0)),
        "1.2.840.10008.1.2.4.50",
    )
    return [file(body()), file(deflate(body()), DEFLATED), file(BEFORE_PIXELS + nested(5)), jpeg, *small]


def test_no_exception_escapes_when_files_are_mutated() -> None:
    chance = random.Random(20_261_121)
    limits = ParserLimits(max_inflated_bytes=1 << 20, max_elements=20_000)
    samples = seeds()
    for _ in range(20_000):
        data = bytearray(chance.choice(samples))
        for _ in range(chance.randint(1, 8)):
            if not data:
                break
            place = chance.randrange(len(data))
            match chance.randrange(5):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    data[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\0\0\0\x80"))
                case 2:
                    del data[place : place + chance.randint(1, 16)]
                case 3:
                    data[place:place] = data[place : place + chance.randint(1, 64)]
                case 4:
                    data[place : place + 8] = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        outcome = parse(memoryview(bytes(data)), limits)
        assert from_json(to_json(outcome)) == outcome

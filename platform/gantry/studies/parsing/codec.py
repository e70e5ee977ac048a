"""Parsed instances across a pipe: plain JSON out of the sandbox, checked against the model on the way in."""

import dataclasses
import datetime as dt
import functools
import json
import math
import types
import typing
from collections.abc import Callable

from gantry.studies.parsing.model import (
    FORBIDDEN_CHARS,
    MAX_IDENTIFIER_CHARS,
    MAX_PERSON_NAME_CHARS,
    PREAMBLES,
    UID_PATTERN,
    ParsedInstance,
    Rejection,
)
from gantry.studies.parsing.rejections import SENTENCES

_MAX_ITEMS = 4096

Outcome = ParsedInstance | Rejection
Reader = Callable[[object], object]


class UntrustedResultError(ValueError):
    """What came out of the sandbox is not what the parser writes."""


def to_json(outcome: Outcome) -> bytes:
    """Write an outcome as compact ASCII JSON; empty fields are left out."""
    kind = "parsed" if isinstance(outcome, ParsedInstance) else "rejected"
    return json.dumps({kind: _plain(outcome)}, allow_nan=False, separators=(",", ":")).encode("ascii")


def from_json(data: bytes) -> Outcome:
    """Read what `to_json` wrote, trusting nothing.

    Raises
    ------
    UntrustedResultError
        Not JSON, an unknown or missing field, a wrong type, or a value beyond the bounds of the model.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UntrustedResultError("not JSON") from error
    if not isinstance(document, dict) or len(document) != 1:
        raise UntrustedResultError("not an outcome")
    ((kind, body),) = document.items()
    if kind == "parsed":
        parsed = typing.cast(ParsedInstance, _reader(ParsedInstance)(body))
        _check_identity(parsed)
        return parsed
    if kind == "rejected":
        rejection = typing.cast(Rejection, _reader(Rejection)(body))
        if rejection.code not in SENTENCES:
            raise UntrustedResultError("an unknown reason")
        _check_uids(rejection.sop_instance_uid, rejection.sop_class_uid, rejection.study_instance_uid)
        return dataclasses.replace(rejection, sentence=SENTENCES[rejection.code])
    raise UntrustedResultError("not an outcome")


def _check_identity(parsed: ParsedInstance) -> None:
    _check_uids(
        parsed.sop_class_uid,
        parsed.sop_instance_uid,
        parsed.study_instance_uid,
        parsed.series_instance_uid,
        parsed.transfer_syntax_uid,
        parsed.series.frame_of_reference_uid or None,
    )
    identifiers = (
        parsed.patient.patient_id,
        parsed.patient.issuer_of_patient_id,
        parsed.study.accession_number,
        parsed.study.issuer_of_accession_number,
    )
    if any(len(identifier) > MAX_IDENTIFIER_CHARS for identifier in identifiers):
        raise UntrustedResultError("an identifier is too long")
    if parsed.preamble not in PREAMBLES:
        raise UntrustedResultError("an unknown kind of preamble")


def _check_uids(*uids: str | None) -> None:
    if any(uid is not None and UID_PATTERN.fullmatch(uid) is None for uid in uids):
        raise UntrustedResultError("not a UID")


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields: dict[str, object] = {}
        for name in _field_names(type(value)):
            item = getattr(value, name)
            if item not in (None, "", ()):
                fields[name] = _plain(item)
        return fields
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@functools.cache
def _reader(kind: object) -> Reader:
    """Build, once per type of the model, the function that checks and converts a JSON value to it."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if typing.get_origin(kind) is types.UnionType:
        (wanted,) = (arg for arg in typing.get_args(kind) if arg is not types.NoneType)
        inner = _reader(wanted)
        return lambda value: None if value is None else inner(value)
    if typing.get_origin(kind) is tuple:
        return _tuple_reader(_reader(typing.get_args(kind)[0]))
    return _SCALARS[kind]


def _dataclass_reader(kind: type) -> Reader:
    hints = typing.get_type_hints(kind)
    readers = {name: _reader(hints[name]) for name in _field_names(kind)}
    # to_json leaves empty fields out; those without a default are read from the empty value of their type.
    absent = {
        field.name: "" if hints[field.name] is str else None
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING
    }

    def read(value: object) -> object:
        if not isinstance(value, dict):
            raise UntrustedResultError(f"{kind.__name__} is not an object")
        if not value.keys() <= readers.keys():
            raise UntrustedResultError(f"{kind.__name__} has an unknown field")
        read_values = {name: readers[name](item) for name, item in value.items()}
        for name in absent.keys() - read_values.keys():
            read_values[name] = readers[name](absent[name])
        return kind(**read_values)

    return read


def _tuple_reader(inner: Reader) -> Reader:
    def read(value: object) -> object:
        if not isinstance(value, list) or len(value) > _MAX_ITEMS:
            raise UntrustedResultError("not a list, or too long")
        return tuple(inner(item) for item in value)

    return read


def _read_str(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_PERSON_NAME_CHARS or FORBIDDEN_CHARS.search(value):
        raise UntrustedResultError("not a short printable string")
    return value


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise UntrustedResultError("not a truth value")
    return value


def _read_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise UntrustedResultError("not an integer of 64 bits")
    return value


def _read_float(value: object) -> float:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return float(value)
    if not isinstance(value, float) or not math.isfinite(value):
        raise UntrustedResultError("not a finite number")
    return value


def _read_date(value: object) -> dt.date:
    try:
        return dt.date.fromisoformat(_read_str(value))
    except ValueError as error:
        raise UntrustedResultError("not a date") from error


def _read_time(value: object) -> dt.time:
    try:
        return dt.time.fromisoformat(_read_str(value))
    except ValueError as error:
        raise UntrustedResultError("not a time") from error


_SCALARS: dict[object, Reader] = {
    str: _read_str,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    dt.date: _read_date,
    dt.time: _read_time,
}

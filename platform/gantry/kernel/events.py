"""Base of domain events: what happened, in the past tense, with a version in its name."""

from __future__ import annotations

import dataclasses
from typing import ClassVar
from uuid import UUID


@dataclasses.dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something that happened to a stream. Carries ids and states, never patient data."""

    NAME: ClassVar[str] = ""

    def to_data(self) -> dict[str, object]:
        """Return the event as JSON-ready data."""
        return {field.name: _jsonable(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def ids(self) -> dict[str, UUID]:
        """Return the ids that the event carries, by field."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, UUID)}


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)

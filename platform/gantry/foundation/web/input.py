"""Input of REST views: one serializer a request, refused with a sentence that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import IntegerField, Serializer


def validated(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the checked body of a request; raises REST framework's `ValidationError`, answered as a problem."""
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    data: dict[str, Any] = checked.validated_data
    return data


class StrictSerializer(Serializer[Any]):
    """Input that refuses fields it does not know: nothing is set by naming a column."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                raise ValidationError({key: ["There is no such field."] for key in unknown[:5]})
        return super().to_internal_value(data)


class PageQuery(Serializer[Any]):
    """Which page of a list."""

    page = IntegerField(required=False, min_value=1, max_value=100_000, default=1)
    page_size = IntegerField(required=False, min_value=1, max_value=100, default=25)


def page_of(request: Request) -> tuple[int, int]:
    """Return offset and limit of the page that a request asks for."""
    query = PageQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    size: int = query.validated_data["page_size"]
    return (query.validated_data["page"] - 1) * size, size

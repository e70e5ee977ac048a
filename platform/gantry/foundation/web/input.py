"""Input of REST views: one serializer a request, refused with a sentence that names the field."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import Serializer


def validated(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the checked body of a request; raises REST framework's `ValidationError`, answered as a problem."""
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    data: dict[str, Any] = checked.validated_data
    return data

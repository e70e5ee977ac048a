"""How the OpenAPI document describes the two ways in. Imported where the document's addresses are gathered."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class TenantAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    """A signed-in session with its CSRF header, or an access token."""

    target_class = "gantry.tenancy.authentication.TenantAuthentication"
    name = ["session", "token"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[Any]]]:
        """Say that either is enough."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """Return one security scheme for each name."""
        return [
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": "The pages' own session; unsafe methods also send X-CSRFToken.",
            },
            {"type": "http", "scheme": "bearer", "description": "An access token of this tenant."},
        ]

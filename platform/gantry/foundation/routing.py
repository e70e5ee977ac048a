"""Which tables go through the identity connection: the secrets of people, unreadable for the application role."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

IDENTITY_APPS = frozenset({"identity", "account", "mfa"})


class IdentityRouter:
    """Send identity models to the `identity` alias; both aliases are one database."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "identity" if model._meta.app_label in IDENTITY_APPS else "default"

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return self.db_for_read(model, **hints)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        # One schema, one migration history: everything is made through `default`, as the owner.
        return db == "default"

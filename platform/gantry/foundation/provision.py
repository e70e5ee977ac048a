"""What a deployment does to its database besides migrations: install the key that checks contexts."""

from __future__ import annotations

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction

from gantry.foundation.context import hmac_pads


def migrate(*, verbosity: int = 1) -> None:
    """Bring the schema up to date and install the context key. Runs as the owner role."""
    call_command("migrate", interactive=False, verbosity=verbosity)
    inner, outer = hmac_pads(settings.CONTEXT_KEY)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "insert into gantry.context_key (inner_pad, outer_pad) values (%s, %s) "
            "on conflict (id) do update set inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad",
            [inner, outer],
        )

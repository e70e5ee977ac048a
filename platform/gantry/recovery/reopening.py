"""What a restored database goes through before anybody may use it; run as a process of its own.

Reads the deletion log from its input and prints one line of JSON: how many erasures it did again, or a sentence that says
why the database must not be opened.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main() -> int:
    """Replay the deletion log, and record that the installation was restored."""
    import django

    from gantry.config.env import use_settings

    use_settings()
    django.setup()
    try:
        entries = json.load(sys.stdin)
        _record()
        replayed = _replay(entries)
    except Exception as error:  # noqa: BLE001 - told in a sentence; the folder is thrown away
        _say({"sentence": f"{type(error).__name__}: {error}"[:500]})
        return 1
    _say({"replayed": replayed})
    return 0


def _replay(entries: list[dict[str, Any]]) -> int:
    from uuid import UUID

    from gantry.foundation.scope import tenant_scope
    from gantry.kernel.actor import system_actor
    from gantry.kernel.ids import TenantId
    from gantry.studies.public import replay_erasure
    from gantry.tenancy.public import list_tenant_ids

    known = set(list_tenant_ids())
    replayed = 0
    for entry in entries:
        tenant_id = TenantId(UUID(entry["tenant_id"]))
        if tenant_id in known:
            with tenant_scope(system_actor(tenant_id)):
                replayed += replay_erasure(entry=entry)
    return replayed


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")


def _record() -> None:
    from gantry.audit.public import Outcome, kind_of, record_platform

    record_platform(
        kind=kind_of("system.restored"), action="system.restored", outcome=Outcome.SUCCESS, user_id=None,
        correlation_id="", detail={},
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

"""A PostgreSQL of this process's own, with the schema, and the settings pointed at it before Django reads them."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from gantry.embedded.postgres import Cluster, throw_away_cluster

_ROOT: Final = Path(__file__).resolve().parents[2]
_KEPT: Final = ("GANTRY_HIDE", "GANTRY_TESTDATA")
_stack = contextlib.ExitStack()
atexit.register(_stack.close)


def start_database(*, is_durable: bool = False) -> Cluster:
    """Start it, migrate it, set Django up on it; it ends with the process.

    Parameters
    ----------
    is_durable
        Write as production does: whoever measures commits needs that.
    """
    state = _stack.enter_context(tempfile.TemporaryDirectory(prefix="gantry-test-", dir="/tmp"))
    cluster = _stack.enter_context(throw_away_cluster(is_durable=is_durable))
    cluster.ensure_roles_and_database("gantry")
    connection = cluster.connection("app", "gantry")
    for key in [key for key in os.environ if key.startswith("GANTRY_") and key not in _KEPT]:
        del os.environ[key]
    os.environ.update(
        {
            "DJANGO_SETTINGS_MODULE": "gantry.config.settings",
            "GANTRY_STATE_DIR": state,
            "GANTRY_SECRET_KEY": secrets.token_urlsafe(50),
            "GANTRY_CONTEXT_KEY": secrets.token_hex(32),
            "GANTRY_JOB_KEY": secrets.token_hex(32),
            "GANTRY_DATABASE__HOST": str(connection["host"]),
            "GANTRY_DATABASE__PORT": str(connection["port"]),
            "GANTRY_DATABASE__NAME": "gantry",
            "GANTRY_INGEST__QUIET_S": "1",
            # The matrix of routes breaks the glass more often than any person may; the limit has a test of its own.
            "GANTRY_ACCESS__EMERGENCIES_PER_HOUR": "10000",
            # Nobody listens there unless a test does (`tests/support/render_door.py`).
            "GANTRY_RENDER__URL": f"unix:{state}/render.sock",
            "GANTRY_RENDER__POD_KEY": secrets.token_hex(32),
            "GANTRY_RENDER__TICKET_KEY": secrets.token_hex(32),
            **{
                f"GANTRY_DATABASE__{role.upper()}_PASSWORD": str(cluster.connection(role)["password"])
                for role in ("owner", "app", "identity", "sequencer", "auditor")
            },
        }
    )
    script = "import django; django.setup(); from gantry.foundation.provision import migrate; migrate(verbosity=0)"
    path = os.pathsep.join(str(_ROOT / folder) for folder in ("platform", "inference", "rendering"))
    environment = {**os.environ, "GANTRY_DATABASE__ROLE": "owner", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    import django

    django.setup()
    from gantry.audit.vocabulary import be_strict

    be_strict()
    return cluster

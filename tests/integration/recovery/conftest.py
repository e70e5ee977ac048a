"""The run's own PostgreSQL, keys and objects as an installation that can be backed up."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ledger
from gantry.embedded.state import ROLES, Secrets
from gantry.recovery.backup import Source, open_target
from gantry.recovery.target import Target
from gantry.vault.public import get_vault


def _checkpoints() -> Path:
    ledger.config()
    (found,) = Path(os.environ["GANTRY_STATE_DIR"]).glob("gantry-checkpoints-*")
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that PostgreSQL's account may pass through when we are root."""
    path = Path(tempfile.mkdtemp(prefix="gantry-recovery-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def source(cluster: Any, folder: Path) -> Source:
    state = folder / "state"
    state.mkdir(mode=0o700)
    secrets = {
        **vars(Secrets.draw()),
        "superuser_password": cluster.connection()["password"],
        "role_passwords": {role: cluster.connection(role)["password"] for role in ROLES},
        "secret_key": os.environ["GANTRY_SECRET_KEY"],
        "context_key": os.environ["GANTRY_CONTEXT_KEY"],
        "job_key": os.environ["GANTRY_JOB_KEY"],
        "audit_checkpoint_key": ledger.config().signer.key.private_bytes_raw().hex(),
        "audit_installation": ledger.INSTALLATION,
    }
    (state / "secrets.json").write_text(json.dumps(secrets), encoding="utf-8")
    # The trail is verified with the run's own key, against the checkpoints that its sequencer copied.
    (state / "checkpoints").symlink_to(_checkpoints())
    vault = get_vault()
    keys = Path(os.environ["GANTRY_STATE_DIR"]) / "keys"
    return Source(state, cluster.connection(database="postgres"), vault.keys, keys, vault.objects)


@pytest.fixture
def custody(folder: Path) -> Path:
    return folder / "custody"


@pytest.fixture
def target(folder: Path, source: Source, custody: Path) -> Target:
    return open_target(folder / "target", custody, source.state)

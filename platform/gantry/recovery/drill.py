"""The restore drill: prove on the newest backup that it can be restored, in what time, and up to which moment."""

from __future__ import annotations

import shutil
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from gantry.embedded.state import StateFolder
from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.recovery.database import Say
from gantry.recovery.restore import Wanted, restore


def run_drill(target: Path, custody: Path, say: Say, clock: Clock = SYSTEM_CLOCK) -> dict[str, Any]:
    """Restore into a folder that is removed again; returns what `restore` says, with `rto_s` and `rpo_s`.

    `rpo_s` is how far the last event restored lies before the beginning of the drill: on a system where nothing
    happens that is the idle time as well.
    """
    begun_at, begun = clock.now(), time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="gantry-drill-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        restored = restore(wanted=Wanted(target, custody), state=StateFolder(folder / "state"), say=say)
        took = time.perf_counter() - begun
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    behind = (begun_at - datetime.fromisoformat(restored.state)).total_seconds() if restored.state else 0.0
    return {**restored.to_json(), "rto_s": round(took, 2), "rpo_s": round(max(behind, 0.0), 2)}

"""What a supervisor leaves written while it runs, for `gantry status` and for whoever finds it killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gantry.embedded.process import end_group, started_ticks
from gantry.embedded.state import write_private


@dataclass
class StackRecord:
    """The running stack: supervisor, address, and each process with the tick it started at."""

    path: Path
    pid: int = field(default_factory=os.getpid)
    url: str = ""
    is_up: bool = False
    processes: dict[str, tuple[int, int]] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Replace the file."""
        content = {key: value for key, value in asdict(self).items() if key != "path"}
        write_private(self.path, json.dumps(content, indent=2) + "\n")

    def note(self, name: str, pid: int) -> None:
        """Write down a process that was started, before anything else happens to it."""
        self.processes[name] = (pid, started_ticks(pid) or 0)
        self.write()

    def remove(self) -> None:
        """Take the file away: nothing runs."""
        self.path.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> StackRecord | None:
        """Return the record of a stack, or None where there is none."""
        try:
            content: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        record = cls(path=path)
        for key, value in content.items():
            setattr(record, key, value)
        record.processes = {name: (pid, ticks) for name, (pid, ticks) in record.processes.items()}
        return record

    def end_leftovers(self) -> list[str]:
        """End what a killed supervisor left running; return the names. PostgreSQL sees to itself."""
        return [
            name
            for name, (pid, ticks) in self.processes.items()
            if name != "postgres" and end_group(pid, ticks, first=signal.SIGTERM, grace_s=5.0)
        ]

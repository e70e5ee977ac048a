"""Where an installation's backups go, remembered in its state folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from gantry.recovery.target import write_durably

_FILE = "backup.json"


@dataclass(frozen=True, slots=True)
class Places:
    """A target and the custody apart from it."""

    target: Path
    custody: Path

    @classmethod
    def read(cls, state: Path) -> Places | None:
        """Return what was remembered, or None."""
        try:
            data = json.loads((state / _FILE).read_text(encoding="utf-8"))
            return cls(Path(data["target"]), Path(data["custody"]))
        except (OSError, ValueError, KeyError):
            return None

    def write(self, state: Path) -> None:
        """Remember."""
        write_durably(state / _FILE, json.dumps({"target": str(self.target), "custody": str(self.custody)}) + "\n")

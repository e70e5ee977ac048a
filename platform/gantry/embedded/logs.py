"""Log files of the stack's processes: each line with its time, bounded in size."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import IO

LIMIT_BYTES = 10 * 1024 * 1024
_LINE_BYTES = 64 * 1024


class LogPump:
    """Copy a process's output into ``path``, keeping one earlier file of at most ``LIMIT_BYTES``."""

    def __init__(self, path: Path, source: IO[bytes]) -> None:
        self._path = path
        self._source = source
        self._tail: deque[str] = deque(maxlen=12)
        self._thread = threading.Thread(target=self._copy, name=f"log-{path.stem}", daemon=True)
        self._thread.start()

    @property
    def last_line(self) -> str:
        """What the process said last."""
        return self._tail[-1] if self._tail else ""

    def tail(self) -> list[str]:
        """Return the last lines, after the process has ended."""
        self._thread.join(timeout=1.0)
        return list(self._tail)

    def _copy(self) -> None:
        file = self._path.open("ab")
        self._path.chmod(0o600)
        while line := self._source.readline(_LINE_BYTES):
            text = line.rstrip(b"\r\n").decode("utf-8", errors="replace")
            if text:
                self._tail.append(text)
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            file.write(f"{now} {self._path.stem} | {text}\n".encode())
            file.flush()
            if file.tell() > LIMIT_BYTES:
                file.close()
                self._path.replace(self._path.with_suffix(".log.1"))
                file = self._path.open("ab")
                self._path.chmod(0o600)
        file.close()
        self._source.close()

"""A sequencer at work beside a test: what waits for a signature gets it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger import sequencer


@contextmanager
def sequencing() -> Iterator[None]:
    """Number, sign and answer for the length of the block, as the process of its own does."""
    stop, failed = threading.Event(), []

    def work() -> None:
        try:
            with sequencer() as leader:
                while not stop.is_set():
                    leader.drain()
                    stop.wait(0.02)
        except Exception as error:  # noqa: BLE001 - raised again by the test's thread
            failed.append(error)

    thread = threading.Thread(target=work, name="sequencer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    if failed:
        raise failed[0]

"""Reading headers in the sandbox, against pydicom in the same process with no limits at all."""

from __future__ import annotations

import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

import pydicom

from bench_result import write_result
from ct_files import make_ct, to_files
from gantry.studies.parsing.memfile import MemFile
from gantry.studies.parsing.model import ParsedInstance
from gantry.studies.parsing.pool import ParserPool

SLICES, BATCH, RUNS = 200, 20, 5


def per_s(action: Callable[[], object]) -> float:
    """Return the median rate of an action on all files."""
    rates = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        action()
        rates.append(SLICES / (time.perf_counter() - begun))
    return statistics.median(rates)


def main() -> None:
    """Run it."""
    load_before = os.getloadavg()[0]
    files = to_files(make_ct(SLICES))
    held = []
    for data in files:
        file = MemFile(1 << 20)
        file.write(data)
        held.append(file)
    with ParserPool(processes=1) as parsers:

        def ours() -> None:
            for at in range(0, SLICES, BATCH):
                parsed = parsers.parse_batch_sync(held[at : at + BATCH])
                assert all(isinstance(one, ParsedInstance) for one in parsed)

        def plain() -> None:
            for data in files:
                list(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).elements())

        write_result(
            "parse",
            unit="files/s",
            better="higher",
            ours=per_s(ours),
            peer=per_s(plain),
            peer_name="pydicom in process, no sandbox",
            load_before=load_before,
        )


if __name__ == "__main__":
    main()

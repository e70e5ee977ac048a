"""Sealing and opening slices in the directory vault, against plain files."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from bench_result import write_result
from gantry.vault.public import StoredRef, VaultConfig, build_vault

SLICE_BYTES, SLICES, RUNS = 525_000, 200, 3


def megabytes_per_s(action: Callable[[], object]) -> float:
    """Return the median rate of an action on all slices."""
    rates = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        action()
        rates.append(SLICE_BYTES * SLICES / 1e6 / (time.perf_counter() - begun))
    return statistics.median(rates)


def main() -> None:
    """Run it."""
    load_before = os.getloadavg()[0]
    data = os.urandom(SLICE_BYTES)
    with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir="/tmp") as name:
        folder = Path(name)
        vault = build_vault(VaultConfig(kind="directory", objects_path=folder / "objects", keys_path=folder / "keys"))
        tenant_id, key_id = uuid4(), uuid4()
        vault.keys.create_tenant_key(tenant_id)
        vault.keys.create_key(tenant_id, key_id)
        kept: list[StoredRef] = []

        def seal() -> None:
            kept[:] = [vault.put(tenant_id, key_id, data) for _ in range(SLICES)]

        def open_all() -> None:
            for ref in kept:
                with vault.open(ref) as reader:
                    reader.read()

        def write() -> None:
            for number in range(SLICES):
                with folder.joinpath(f"plain-{number}").open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())

        def read() -> None:
            for number in range(SLICES):
                folder.joinpath(f"plain-{number}").read_bytes()

        for what, ours, peer in (("seal", seal, write), ("open", open_all, read)):
            write_result(
                f"vault_{what}",
                unit="MB/s",
                better="higher",
                ours=megabytes_per_s(ours),
                peer=megabytes_per_s(peer),
                peer_name="plain files" if what == "open" else "plain files, each synchronised",
                load_before=load_before,
            )


if __name__ == "__main__":
    main()

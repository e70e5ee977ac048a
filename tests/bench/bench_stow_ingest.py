"""How fast a study comes in: parsed in the sandbox, encrypted, indexed and audited, against the same bytes kept as they are."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

import httpx

from bench_result import write_result
from embedded_stack import wait_until
from gantry.embedded.ports import first_free_ports
from phantom_files import CONTENT_TYPE, make_study, multipart
from stack import WholeStack

SLICES, RUNS = 200, 3
_PLAIN = """
import os, sys, tempfile
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
async def keep(request):
    with tempfile.NamedTemporaryFile(dir=sys.argv[2]) as file:
        async for data in request.stream():
            file.write(data)
        os.fsync(file.fileno())
    return PlainTextResponse("ok")
import uvicorn
uvicorn.run(Starlette(routes=[Route("/", keep, methods=["POST"])]), port=int(sys.argv[1]), log_level="error")
"""


def megabytes_per_s(client: httpx.Client, address: str, bodies: list[bytes]) -> float:
    """Send bodies one after the other; return the median rate."""
    rates = []
    for body in bodies:
        begun = time.perf_counter()
        answer = client.post(address, content=body, headers={"Content-Type": CONTENT_TYPE})
        rates.append(len(body) / 1e6 / (time.perf_counter() - begun))
        answer.raise_for_status()
    return statistics.median(rates)


def run_peer(bodies: list[bytes], folder: Path) -> float:
    """Send the same bytes to the same server software that only writes them down."""
    port = first_free_ports(19_000)[0]
    with subprocess.Popen([sys.executable, "-c", _PLAIN, str(port), str(folder)]) as server:
        try:
            address = f"http://127.0.0.1:{port}/"

            def answers() -> bool:
                try:
                    return bool(httpx.get(address).status_code)
                except httpx.TransportError:
                    return False

            wait_until(answers, "the plain server answers")
            with httpx.Client(timeout=120.0) as client:
                return megabytes_per_s(client, address, bodies)
        finally:
            server.terminate()


def main() -> None:
    """Run it."""
    load_before = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(prefix="gantry-bench-", dir="/tmp"))
    folder.chmod(0o755)
    # The worker stays quiet: nothing is complete while this runs.
    stack = WholeStack(folder / "state", quiet_s=3600.0, demo_slices=8)
    try:
        bodies = [multipart(make_study(SLICES).files) for _ in range(RUNS)]
        stack.start()
        ours = megabytes_per_s(stack.client("integrator"), "/dicomweb/studies", bodies)
        stack.close()
        peer = run_peer(bodies, folder)
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)
    write_result(
        "stow_ingest",
        unit="MB/s",
        better="higher",
        ours=ours,
        peer=peer,
        peer_name="the same server writing the body down as it is",
        load_before=load_before,
        details={"slices": SLICES, "megabytes": round(len(bodies[0]) / 1e6, 1)},
    )


if __name__ == "__main__":
    main()

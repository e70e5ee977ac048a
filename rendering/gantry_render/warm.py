"""Compile every kernel before anybody waits for it: `python -m gantry_render.warm`.

Run when an environment or an image is built; what it compiles lies in `gantry_render.engine.jit.kernel_folder()`. It
is for the kind of processor that it runs on: on another, kernels are compiled on first use as if it had not been run.
"""

import sys
import time

from gantry_render.engine.jit import count_kernels, kernel_folder
from gantry_render.engine.warm import warm_engine
from gantry_render.server.warming import warm_up


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Compile or load all kernels, a line for each part; return the exit status."""
    begun = time.monotonic()
    for part in warm_engine():
        _say(f"compiling {part}")
    _say("compiling pictures")
    warm_up()
    loaded, compiled = count_kernels()
    _say(f"{compiled} kernels compiled, {loaded} loaded, {time.monotonic() - begun:.1f} s, {kernel_folder()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

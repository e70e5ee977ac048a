"""How kernels are compiled: once per machine, kept on disk, without the interpreter's lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from typing import Any, TypeVar, cast

import numba

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# Not "nnan" and "ninf": rays that meet nothing are marked by both.
_FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}


def kernel(function: _Kernel) -> _Kernel:
    """Compile on the first call, or take what an earlier process compiled (`NUMBA_CACHE_DIR`).

    Kernels run outside the interpreter's lock and are spread over cores by `in_bands`, not by numba's own pool:
    that one ends the process when two sessions draw at once, and takes longest to compile.
    """
    return cast(_Kernel, numba.njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")(function))


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, core_count() - 1), thread_name_prefix="render")


def in_bands(work: Callable[[int, int], None], rows: int, band: int = 16) -> None:
    """Call `work(first, beyond)` for bands of rows until all are done, on every core.

    The caller works too, so that a pool busy with other sessions delays but never blocks it.
    """
    following = count()
    bands = -(-rows // band)

    def take() -> None:
        while (number := next(following)) < bands:
            work(number * band, min(rows, (number + 1) * band))

    if bands == 1 or core_count() == 1:
        take()
        return
    others = [_pool().submit(take) for _ in range(min(core_count(), bands) - 1)]
    try:
        take()
    finally:
        for other in others:
            if not other.cancel():
                other.result()

"""How kernels are compiled: once per machine, kept on disk, without the interpreter's lock."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import CacheImpl, _CacheLocator
from numpy.typing import NDArray

from gantry_render.errors import FrameCancelledError

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])
_Number = TypeVar("_Number", bound=np.generic)

# Not "nnan" and "ninf": rays that meet nothing are marked by both.
_FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
_PACKAGE = Path(__file__).resolve().parents[1]
_MADE: list[Any] = []


def kernel(function: _Kernel) -> _Kernel:
    """Compile on the first call, or take what was compiled before (`python -m gantry_render.warm`, an earlier process).

    Kernels run outside the interpreter's lock and are spread over cores by `in_bands`, not by numba's own pool:
    that one ends the process when two sessions draw at once, and takes longest to compile.
    """
    kept = kernel_folder() is not None
    made = numba.njit(cache=kept, nogil=True, fastmath=_FAST, error_model="numpy")(function)
    _MADE.append(made)
    return cast(_Kernel, made)


def count_kernels() -> tuple[int, int]:
    """Return how many kernels, counted by the types of their arguments, were loaded and how many compiled so far."""
    loaded = sum(sum(made.stats.cache_hits.values()) for made in _MADE)
    return loaded, sum(sum(made.stats.cache_misses.values()) for made in _MADE)


@lru_cache(maxsize=1)
def kernel_folder() -> Path | None:
    """Return where compiled kernels are kept; None where nothing can be written at all.

    That is `NUMBA_CACHE_DIR`, else a folder of the installation. From one that may only be read, as an image's, its
    kernels are copied to a folder of this process: numba gives up on a cache that it cannot write, and what it loads is
    code, so that no folder will do that others can write.
    """
    given = vars(numba.config).get("CACHE_DIR")
    home = Path(given) if given else Path(sys.prefix) / "var" / "gantry-kernels"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return home
    except OSError:
        return _copy_of(home)


def _copy_of(home: Path) -> Path | None:
    try:
        # Left to the process's end, which removes it.
        _KEEP.append(tempfile.TemporaryDirectory(prefix="gantry-kernels-"))
        folder = Path(_KEEP[-1].name)
        if home.is_dir():
            shutil.copytree(home, folder, dirs_exist_ok=True)
    except OSError:
        return None
    return folder


_KEEP: list["tempfile.TemporaryDirectory[str]"] = []


@lru_cache(maxsize=1)
def _digest() -> str:
    """Return a hash of all sources with kernels: one holds what it took from others, constants as well."""
    digest = hashlib.sha256()
    for source in sorted([*_PACKAGE.glob("engine/*.py"), *_PACKAGE.glob("*/kernels.py")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()


class _Locator(_CacheLocator):
    """Tells numba where this package's kernels lie and when they are out of date: by contents, not by time."""

    def __init__(self, source: str) -> None:
        self._source = source

    def get_cache_path(self) -> str:
        return str(kernel_folder())

    def get_source_stamp(self) -> str:
        return _digest()

    def get_disambiguator(self) -> str:
        return Path(self._source).parent.name

    @classmethod
    def from_function(cls, _function: Any, source: str) -> "_Locator | None":
        return cls(source) if _PACKAGE in Path(source).resolve().parents else None


# numba has no public way to add one; its environment variable would bind every function of the process.
_LOCATORS: list[Any] = CacheImpl._locator_classes  # noqa: SLF001
_LOCATORS.insert(0, _Locator)


def plain(array: NDArray[_Number]) -> NDArray[_Number]:
    """Return a flat view that numba takes for any other: it would compile again for arrays that may not be written.

    Kernels leave what they are given to read as it is.
    """
    flat = array.reshape(-1)
    if flat.flags.writeable:
        return flat
    return np.asarray(_Opened(flat))


class _Opened:
    """The memory of an array, said to be writeable; lives as long as what was made of it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, core_count() - 1), thread_name_prefix="render")


def in_bands(
    work: Callable[[int, int], None], rows: int, band: int = 16, cancelled: Callable[[], bool] | None = None
) -> None:
    """Call `work(first, beyond)` for bands of rows until all are done, on every core.

    The caller works too, so that a pool busy with other sessions delays but never blocks it.

    Raises
    ------
    FrameCancelledError
        `cancelled`, asked before each band, said yes; no band is under way any more.
    """
    following = count()
    bands = -(-rows // band)
    given_up = False

    def take() -> None:
        nonlocal given_up
        while not given_up and (number := next(following)) < bands:
            if cancelled is not None and cancelled():
                given_up = True
                return
            work(number * band, min(rows, (number + 1) * band))

    if bands == 1 or core_count() == 1:
        take()
    else:
        others = [_pool().submit(take) for _ in range(min(core_count(), bands) - 1)]
        try:
            take()
        finally:
            for other in others:
                if not other.cancel():
                    other.result()
    if given_up:
        raise FrameCancelledError

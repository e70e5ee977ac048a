"""Running services from asynchronous code: in threads, each giving its connections back when done."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")

# As many as the application's connection pool has places for, less what REST needs.
_executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="gantry-service")
_reserved = ThreadPoolExecutor(max_workers=2, thread_name_prefix="gantry-reserved")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking function in a thread with this task's context; database connections go back to the pool."""
    return await _run(_executor, functools.partial(function, *args, **kwargs))


async def in_reserved_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run like `in_thread`, but not behind others: for short calls that something ends without (leases)."""
    return await _run(_reserved, functools.partial(function, *args, **kwargs))


async def _run(executor: ThreadPoolExecutor, function: Callable[[], R]) -> R:
    context = contextvars.copy_context()
    call = functools.partial(context.run, _call_and_release, function)
    result: R = await asyncio.get_running_loop().run_in_executor(executor, call)
    return result


def _call_and_release(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connections.close_all()

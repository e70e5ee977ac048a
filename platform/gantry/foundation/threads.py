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


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking function in a thread with this task's context; database connections go back to the pool."""
    context = contextvars.copy_context()
    call = functools.partial(context.run, _call_and_release, functools.partial(function, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_executor, call)


def _call_and_release(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connections.close_all()

"""Watching that nothing of a patient is touched without a decision: off in production, on in the suite's walks.

A unit of work that reads or writes one of the guarded tables must ask the gate before it ends. What it reads to be
able to ask (whose study is this?) it may read before, so the end of the unit is where it is looked at.
"""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True)
class Undecided:
    """A unit of work that touched guarded tables and asked nobody."""

    tables: frozenset[str]
    #: Our own functions on the way there, the innermost last.
    path: tuple[str, ...]


@dataclass
class _Unit:
    tables: set[str] = field(default_factory=set)
    path: tuple[str, ...] = ()
    is_decided: bool = False


@dataclass
class Guard:
    """What is guarded, and what was found."""

    tables: frozenset[str]
    found: list[Undecided] = field(default_factory=list)

    @contextlib.contextmanager
    def unit(self) -> Iterator[None]:
        """Watch one unit of work."""
        unit = _Unit()
        token = _unit.set(unit)
        try:
            with connection.execute_wrapper(self._look):
                yield
        finally:
            _unit.reset(token)
            if unit.tables and not unit.is_decided:
                self.found.append(Undecided(frozenset(unit.tables), unit.path))

    def _look(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        unit = _unit.get()
        if unit is not None:
            touched = self.tables & set(_NAMES.findall(str(sql)))
            if touched and not unit.tables:
                unit.path = _own_functions()
            unit.tables |= touched
        return execute(sql, params, many, context)


_NAMES = re.compile(r"[a-z0-9_]+")
_unit: ContextVar[_Unit | None] = ContextVar("gantry_guarded_unit", default=None)
_guard: list[Guard] = []


def current_guard() -> Guard | None:
    """Return the guard that is on, if one is."""
    return _guard[-1] if _guard else None


@contextlib.contextmanager
def guarding(tables: frozenset[str]) -> Iterator[Guard]:
    """Watch every unit of work of this process, in all threads, until the block ends."""
    guard = Guard(tables)
    _guard.append(guard)
    try:
        yield guard
    finally:
        _guard.remove(guard)


def note_decision() -> None:
    """Say that the gate was asked in the unit of work in progress; whatever it answered."""
    unit = _unit.get()
    if unit is not None:
        unit.is_decided = True


def _own_functions() -> tuple[str, ...]:
    frames = traceback.extract_stack()
    return tuple(
        f"{frame.filename.rsplit('/gantry/', 1)[1].removesuffix('.py').replace('/', '.')}.{frame.name}"
        for frame in frames
        if "/gantry/" in frame.filename and "/foundation/" not in frame.filename
    )

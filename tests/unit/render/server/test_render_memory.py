"""Admission and eviction."""

from __future__ import annotations

import pytest

from gantry_render.protocol import CloseCode
from gantry_render.server.errors import SessionError
from gantry_render.server.memory import Memory

MIB = 1 << 20


def fill(memory: Memory, gone: list[str], **sizes: int) -> None:
    for name, size in sizes.items():
        memory.admit(name, size * MIB, lambda name=name: gone.append(name))  # type: ignore[misc]  # default


def test_the_least_recently_used_goes_first_when_room_is_needed() -> None:
    memory, gone = Memory(100 * MIB), list[str]()
    fill(memory, gone, a=40, b=40)
    for name in ("a", "b"):
        memory.leave(name, 1.0)
    memory.use("a")
    memory.leave("a", 2.0)
    fill(memory, gone, c=50)
    assert gone == ["b"]
    assert memory.reserved_bytes == 90 * MIB


def test_it_is_busy_when_others_hold_the_room() -> None:
    memory, gone = Memory(100 * MIB), list[str]()
    fill(memory, gone, a=60)
    with pytest.raises(SessionError) as refused:
        fill(memory, gone, b=60)
    assert (refused.value.close, refused.value.code) == (CloseCode.BUSY, "pod.full")
    assert refused.value.retry_after_ms
    memory.leave("a", 2.0)
    fill(memory, gone, b=60)
    assert gone == ["a"]


def test_it_is_too_large_when_it_never_fits() -> None:
    memory = Memory(100 * MIB)
    with pytest.raises(SessionError) as refused:
        fill(memory, [], a=101)
    assert (refused.value.close, refused.value.code) == (CloseCode.TOO_LARGE, "study.too_large")
    assert "101 MiB" in refused.value.sentence and "100 MiB" in refused.value.sentence
    assert refused.value.retry_after_ms is None


def test_it_stays_when_one_of_two_users_leaves() -> None:
    memory, gone = Memory(100 * MIB), list[str]()
    fill(memory, gone, a=60)
    memory.use("a")
    memory.leave("a", 2.0)
    memory.clear()
    assert gone == []
    memory.leave("a", 2.0)
    memory.clear()
    assert gone == ["a"]


def test_what_nobody_uses_goes_when_it_is_told_or_has_lain_for_long() -> None:
    memory, gone = Memory(100 * MIB), list[str]()
    fill(memory, gone, a=20, b=20, c=20)
    memory.drop("a")
    assert gone == [], "somebody looks at it"
    for name, at in (("a", 10.0), ("b", 20.0)):
        memory.leave(name, at)
    memory.drop_idle(15.0)
    assert gone == ["a"]
    memory.drop("b")
    memory.drop("no such")
    memory.drop_idle(1e9)
    assert gone == ["a", "b"], "c is in use"
    assert memory.reserved_bytes == 20 * MIB

from __future__ import annotations

import pytest

from gantry.embedded import detect


@pytest.mark.parametrize(
    ("version", "is_recent"),
    [
        (None, False),
        ((18, 20), False),
        ((20, 18), False),
        ((20, 19), True),
        ((21, 7), False),
        ((22, 11), False),
        ((22, 12), True),
        ((24, 0), True),
    ],
)
def test_node_is_judged_as_vite_does_when_asked(version: tuple[int, int] | None, is_recent: bool) -> None:
    assert detect.is_node_recent(version) is is_recent


def test_parts_are_absent_when_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {
        "egl": lambda: detect.find_egl() or detect.find_osmesa(),
        "libpython": lambda: next(filter(None, map(detect.find_libpython, range(9, 15))), None),
        "pango": detect.find_pango,
        "chromium": lambda: detect.find_chromium() or detect.find_chromedriver(),
        "node": detect.find_system_node,
    }
    monkeypatch.setenv("GANTRY_HIDE", ", ".join(there))
    assert [part for part, find in there.items() if find()] == []
    monkeypatch.setenv("GANTRY_HIDE", "")
    assert detect.find_program("sh") is not None
    assert detect.find_library("libc.so.6") is not None

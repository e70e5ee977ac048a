"""Events as CSV: one row each, read back by a reader of RFC 4180, and no cell is a formula."""

from __future__ import annotations

import csv
import io

import pytest

from gantry.audit.projections.names import Names
from gantry.audit.projections.tables import COLUMNS, csv_header, to_csv
from ledger_events import ALL, NAMES, OTHER, READER, make_event


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_every_event_is_one_row() -> None:
    table = rows(csv_header() + b"".join(to_csv(event, NAMES) for event in ALL))
    assert tuple(table[0]) == COLUMNS
    assert len(table) == len(ALL) + 1
    assert all(len(row) == len(COLUMNS) for row in table)
    assert (csv_header() + to_csv(ALL[0])).count(b"\r\n") == 2


#: OWASP "CSV Injection", and what readers of it found beside (leading blanks, full-width signs).
FORMULAS = [
    "=1+1", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")', "=cmd|' /C calc'!A0",
    "-cmd|x", " =1", "\u00a0=1", "\uff1d1", "\uff20x", "+", "-", "=",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    event = make_event(clause=text, session=text, address=text, correlation_id=text, code=text, actor_id=READER)
    (row,) = rows(to_csv(event, Names(people={READER: text}, studies={}, institutions={})))
    for cell in row:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert row.count(f"'{text}") == 6


@pytest.mark.parametrize("text", ['"', ",", "a\r\nb", 'a"b,c', "ä–€"])
def test_cell_is_read_back_as_it_was(text: str) -> None:
    (row,) = rows(to_csv(make_event(actor_id=OTHER), Names(people={OTHER: f"x{text}"})))
    assert row[COLUMNS.index("actor_name")] == f"x{text}"

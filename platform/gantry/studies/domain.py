"""States of studies and results, and the rules that need no database."""

from __future__ import annotations

import unicodedata
from enum import StrEnum


class StudyState(StrEnum):
    RECEIVING = "receiving"
    COMPLETE = "complete"


class ReviewState(StrEnum):
    """What people have said about AI results: of one result, or summed up over a study."""

    NONE = "none"
    UNREVIEWED = "unreviewed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    MIXED = "mixed"


def sum_up(states: list[ReviewState]) -> ReviewState:
    """Sum up the review states of several findings: one state when they agree, else mixed or unreviewed."""
    kinds = set(states)
    if not kinds:
        return ReviewState.NONE
    if len(kinds) == 1:
        return kinds.pop()
    return ReviewState.UNREVIEWED if ReviewState.UNREVIEWED in kinds else ReviewState.MIXED


def fold_name(text: str) -> str:
    """Return text as it is searched: without case, accents and DICOM's `^` and `=` separators."""
    folded = unicodedata.normalize("NFKD", text.casefold().replace("ı", "i"))
    plain = "".join(mark for mark in folded if not unicodedata.combining(mark))
    return " ".join(plain.replace("^", " ").replace("=", " ").split())

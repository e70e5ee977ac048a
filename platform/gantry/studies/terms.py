"""What studies are found by: words and whole values, in a table of their own whose index row-level security lets through.

`LIKE`, regular expressions and `@>` are not leakproof, so under row-level security they become filters after all of the
tenant's rows were read (reliability.md §2.1). Comparing text is leakproof: a prefix is a range in the order of bytes.
"""

from __future__ import annotations

import re
from enum import StrEnum

from django.db import models

from gantry.foundation.models import TenantModel, parent_key
from gantry.studies.domain import fold_name

MAX_CHARS = 512
#: Where a word can be entered: at its beginning, and wherever letters meet other marks.
_ENTRY = re.compile(r"(?<=[^\W_])(?=[\W_])|(?<=[\W_])(?=[^\W_])")


class TermKind(StrEnum):
    """What a term is of a study. Words are folded; whole values only lose their case."""

    NAME_WORD = "N"
    DESCRIPTION_WORD = "D"
    PATIENT_NAME = "n"
    PATIENT_ID = "p"
    ACCESSION_NUMBER = "a"
    DESCRIPTION = "d"
    STUDY_ID = "i"
    REFERRING_PHYSICIAN = "r"
    MODALITY = "m"
    #: Every study has this one once its terms are written.
    WRITTEN = "w"


class StudyTerm(TenantModel):
    """That a study is found by a term. Identifying metadata; goes with its study."""

    study = parent_key("studies.Study")
    kind = models.CharField(max_length=1)
    #: In the order of bytes: a prefix is a range.
    term = models.CharField(max_length=MAX_CHARS, db_collation="C")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "kind", "term", "study"], name="study_term")]
        indexes = [models.Index(fields=["tenant_id", "study"], name="study_term_study")]


def words_of(text: str) -> set[str]:
    """Return the folded words of a text, and what begins at a mark within one."""
    found = set()
    for word in fold_name(text).split():
        found.add(word[:MAX_CHARS])
        found |= {word[at.start() :][:MAX_CHARS] for at in _ENTRY.finditer(word)}
    return found


def fold_case(text: str) -> str:
    """Return a value as it is compared whole: without case, and no longer than a term."""
    return text.lower()[:MAX_CHARS]

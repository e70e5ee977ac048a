"""Finding studies by their terms: conditions that the index answers, under row-level security too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from gantry.foundation.scope import unit_of_work
from gantry.studies.domain import fold_name
from gantry.studies.models import Study, StudyTerm
from gantry.studies.terms import MAX_CHARS, TermKind, fold_case, words_of

#: The last code point: what begins with a prefix lies before the prefix with this behind it.
_LAST = "\U0010ffff"


def terms_of(study: Study) -> set[tuple[str, str]]:
    """Return kind and term of everything that a study is found by."""
    whole = {
        TermKind.PATIENT_NAME: study.patient_name,
        TermKind.PATIENT_ID: study.patient.patient_id,
        TermKind.ACCESSION_NUMBER: study.accession_number,
        TermKind.DESCRIPTION: study.description,
        TermKind.STUDY_ID: study.study_id,
        TermKind.REFERRING_PHYSICIAN: study.referring_physician_name,
    }
    found = {(kind.value, fold_case(text)) for kind, text in whole.items() if text}
    found |= {(TermKind.NAME_WORD.value, word) for word in words_of(study.patient_name)}
    found |= {(TermKind.DESCRIPTION_WORD.value, word) for word in words_of(study.description)}
    found |= {(TermKind.MODALITY.value, one) for one in study.modalities.split("\\") if one}
    return found | {(TermKind.WRITTEN.value, "")}


def write_terms(study: Study) -> None:
    """Bring a study's terms up to date, in the transaction that changed it."""
    rows = {
        (kind, term): pk for pk, kind, term in StudyTerm.objects.filter(study=study).values_list("pk", "kind", "term")
    }
    wanted = terms_of(study)
    gone = [pk for key, pk in rows.items() if key not in wanted]
    if gone:
        StudyTerm.objects.filter(pk__in=gone).delete()
    missing = sorted(wanted - set(rows))
    StudyTerm.objects.bulk_create(
        [StudyTerm(study=study, kind=kind, term=term) for kind, term in missing], ignore_conflicts=True
    )


def write_missing_terms(*, limit: int = 500) -> int:
    """Write the terms of studies that were stored before there were any; returns of how many."""
    with unit_of_work():
        written = StudyTerm.objects.filter(study=OuterRef("pk"), kind=TermKind.WRITTEN)
        studies = list(Study.objects.filter(~Exists(written)).select_related("patient").order_by("pk")[:limit])
        for study in studies:
            write_terms(study)
    return len(studies)


def has_term(*kinds: TermKind, term: str) -> Q:
    """Return the condition of a term that is exactly this."""
    return Q(kind__in=kinds, term=term)


def has_prefix(*kinds: TermKind, prefix: str) -> Q:
    """Return the condition of a term that begins like this."""
    return Q(kind__in=kinds, term__gte=prefix, term__lt=prefix + _LAST)


def has_words(*kinds: TermKind, text: str) -> Q | None:
    """Return the condition of terms of studies in which every word of a text begins one; `None` without a word."""
    condition: Q | None = None
    for word in fold_name(text).split():
        begins = has_prefix(*kinds, prefix=word[:MAX_CHARS])
        condition = begins if condition is None else condition & Q(study_id__in=studies_with(begins))
    return condition


def studies_with(condition: Q) -> QuerySet[Any, Any]:
    """Return the ids of studies that have a term of which a condition holds."""
    return StudyTerm.objects.filter(condition).values("study_id")


#: Of more different values, a pattern that begins with an asterisk is not looked for.
MAX_VALUES = 200_000


def has_pattern(kind: TermKind, pattern: str) -> Q | None:
    """Return the condition of a value that matches a DICOM pattern (PS3.4 C.2.2.2.4), without regard to case.

    A value, or the beginning of one, is a range of the index. For other patterns the different values that begin
    like the pattern are read and compared here; `None` says that there are too many of them.
    """
    folded = fold_case(pattern)
    if not set("*?") & set(folded):
        return has_term(kind, term=folded)
    prefix = re.split(r"[*?]", folded, maxsplit=1)[0]
    if folded == f"{prefix}*":
        return has_prefix(kind, prefix=prefix)
    rows = StudyTerm.objects.filter(has_prefix(kind, prefix=prefix))
    values = list(rows.values_list("term", flat=True).distinct()[: MAX_VALUES + 1])
    if len(values) > MAX_VALUES:
        return None
    return Q(kind=kind, term__in=matching(folded, values))


def matching(pattern: str, values: Iterable[str]) -> list[str]:
    """Return the values that match a DICOM pattern whole."""
    expression = "".join({"*": ".*", "?": "."}.get(mark) or re.escape(mark) for mark in pattern)
    compiled = re.compile(expression, re.DOTALL)
    return [value for value in values if compiled.fullmatch(value)]

"""States of studies and results, and the rules that need no database."""

from __future__ import annotations

import unicodedata
from enum import StrEnum


class StudyState(StrEnum):
    RECEIVING = "receiving"
    COMPLETE = "complete"


class PackState(StrEnum):
    """Whether a series can be rendered from its volume pack."""

    PREPARING = "preparing"
    READY = "ready"
    #: It holds nothing that can be shown, or the agreement does not let us.
    REFUSED = "refused"
    #: Something went wrong on our side; it is tried again when somebody asks.
    FAILED = "failed"


class ReviewState(StrEnum):
    """What people have said about AI results: of one result, or summed up over a study."""

    NONE = "none"
    UNREVIEWED = "unreviewed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    MIXED = "mixed"


class ErasureTarget(StrEnum):
    """What an erasure is of."""

    PATIENT = "patient"
    STUDY = "study"
    TENANT = "tenant"


class ErasurePart(StrEnum):
    """How much of its studies an erasure takes."""

    WHOLE = "whole"
    #: The images as they came, and the packs made of them; what is known of the study, and its results, stay.
    PIXELS = "pixels"
    #: What AI made of it, with its reviews; the study stays.
    RESULTS = "results"
    #: Objects in quarantine, whosever they are.
    QUARANTINE = "quarantine"


class ErasureCause(StrEnum):
    """Why something is destroyed."""

    SUBJECT_REQUEST = "subject_request"
    RETENTION = "retention"
    AGREEMENT_ENDED = "agreement_ended"
    CONTROLLER_INSTRUCTION = "controller_instruction"


class ErasureState(StrEnum):
    PLANNED = "planned"
    CONFIRMED = "confirmed"
    #: Rows are gone and cannot come back; objects and keys follow, whatever is interrupted.
    EXECUTING = "executing"
    DONE = "done"
    #: Something stood in the way: a hold, or the data were others than those of the plan.
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"


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


def identity_scope(*, issuer: str, patient_id: str, institution_id: str, study_instance_uid: str) -> str:
    """Return within what a patient's number is unique.

    Two hospitals of a group may use the same number, so without an issuer the institution is one. No
    number at all identifies nobody: such a study is a patient of its own.
    """
    if not patient_id:
        return f"study {study_instance_uid}"
    return issuer or institution_id


def names_differ(first: str, second: str) -> bool:
    """Tell whether two names as sent cannot be the same person's; an absent name says nothing."""
    one, other = fold_name(first), fold_name(second)
    return bool(one and other and one != other)


class EmergencyReason(StrEnum):
    """Why the glass was broken."""

    LIFE_THREATENING = "life_threatening"
    URGENT_TREATMENT = "urgent_treatment"
    COVER_ON_CALL = "cover_on_call"
    TRANSFER_OF_CARE = "transfer_of_care"
    OTHER = "other"


class ReviewVerdict(StrEnum):
    """What became of the review."""

    PENDING = "pending"
    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"


class GrantScope(StrEnum):
    """What is shared: this study, or the patient with every study of theirs."""

    STUDY = "study"
    PATIENT = "patient"

"""Which tables hold patients' data, and who may touch them without asking the gate: a reviewed list, each with its reason."""

from __future__ import annotations

from django.apps import apps

from gantry.foundation.guard import Guard, Undecided

#: Every table of these parts holds patients' data, unless it is listed below.
_PARTS = ("studies", "analyses")
_WITHOUT = {
    "studies_erasure": "what was or is to be erased: ids, counts and dates, for who manages retention",
    "studies_legalhold": "what must be kept and why: ids and an officer's reason, for who manages retention",
    "studies_retentionrun": "counts of what a run erased",
}

#: Functions of ours, by what they end with in the path; each stands for a reviewed reason.
MAY_TOUCH: dict[str, str] = {
    # An officer's acts: decided by `access.require_permission`, and none shows a picture, a finding or a name.
    "studies.destruction.retention.find_due": "counts what is due, for who manages retention",
    "studies.destruction.planning.find_patients": "finds whose data is to be erased: row ids and counts",
    "studies.destruction.holds._subject": "finds what is to be held, by its pseudonym",
    "studies.granting.emergency.list_emergencies": "the review of emergency access: who, when, why, a pseudonym",
    "studies.granting.emergency.review_emergency": "as above",
    "studies.granting.emergency.end_emergency": "as above; ends what stands on it",
    "studies.naming.list_patient_identities": "names in a reading of the audit trail, whose reading is itself recorded",
    # The platform's clocks: ids alone, and what they start asks the gate itself.
    "studies.transfers.end_transfer": "records how a transfer ended whose beginning was decided, and of whose study",
    "studies.packs._end": "notes why a pack was not made, or that it is; the images were opened by a decision before",
    "studies.services._complete_or_postpone": "puts a study off whose completion the gate refused",
}


def patient_tables() -> frozenset[str]:
    """Return the tables that only a decision of the gate opens."""
    tables = {model._meta.db_table for app in _PARTS for model in apps.get_app_config(app).get_models()}
    return frozenset(tables - set(_WITHOUT))


def undecided(guard: Guard) -> list[Undecided]:
    """Return what was touched without a decision and is not on the reviewed list."""
    return [one for one in guard.found if not any(function in MAY_TOUCH for function in one.path)]

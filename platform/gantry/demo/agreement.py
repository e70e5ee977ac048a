"""The demo agreement's clauses: what a hospital group would sign for radiology AI on its own ground."""

from __future__ import annotations

from gantry.agreements.public import Permission
from gantry.kernel.vocabulary import Activity, DataCategory, Purpose, Role

_ALL = frozenset(DataCategory) - {DataCategory.USAGE}
_CARE = frozenset({Purpose.TREATMENT, Purpose.OPERATIONS})

_CLAUSES: tuple[tuple[str, Activity, frozenset[DataCategory], frozenset[Purpose], tuple[Role, ...]], ...] = (
    ("Annex I §2.1", Activity.STORE, _ALL, _CARE, (Role.RADIOLOGIST, Role.INTEGRATOR, Role.SYSTEM)),
    ("Annex I §2.2", Activity.FIND, _ALL, _CARE, (Role.RADIOLOGIST, Role.SURGEON, Role.REFERRER, Role.INTEGRATOR)),
    ("Annex I §2.3", Activity.VIEW, _ALL, _CARE, (Role.RADIOLOGIST, Role.SURGEON, Role.REFERRER, Role.INTEGRATOR)),
    ("Annex I §2.3", Activity.RENDER, _ALL, _CARE, (Role.RADIOLOGIST, Role.SURGEON, Role.REFERRER, Role.SYSTEM)),
    ("Annex I §3.1", Activity.INFER, _ALL, _CARE, (Role.RADIOLOGIST, Role.INTEGRATOR, Role.SYSTEM)),
    ("Annex I §3.2", Activity.DERIVE, _ALL, _CARE, (Role.SYSTEM,)),
    ("Annex I §3.3", Activity.REVIEW, _ALL, _CARE, (Role.RADIOLOGIST,)),
    ("Annex I §3.4", Activity.ANNOTATE, _ALL, _CARE, (Role.RADIOLOGIST, Role.SURGEON)),
    ("Annex I §4.1", Activity.SHARE, _ALL, _CARE, (Role.RADIOLOGIST, Role.SURGEON)),
    ("Annex I §4.2", Activity.EXPORT, _ALL, _CARE, (Role.RADIOLOGIST, Role.INTEGRATOR)),
)


def demo_permissions() -> tuple[Permission, ...]:
    """Return the clauses; viewing from abroad, transfer and learning are not among them."""
    return tuple(
        Permission(clause=clause, activity=activity, categories=categories, purposes=purposes, roles=frozenset(roles))
        for clause, activity, categories, purposes, roles in _CLAUSES
    )

"""The demo agreement's clauses: what a hospital group would sign for radiology AI on its own ground."""

from __future__ import annotations

from gantry.agreements.public import (
    BreachRule,
    Content,
    EndRule,
    Party,
    Permission,
    RetentionRule,
    Status,
    SubProcessor,
    Terms,
)
from gantry.kernel.vocabulary import Activity, DataCategory, Place, ProcessingBoundary, Purpose, Role

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


def demo_content(title: str, organisation: str) -> Content:
    """Return what the demo tenants agree to: the server may work, here, with the models that ship with Gantry."""
    care_data = frozenset(_ALL)
    terms = Terms(
        version="",
        status=Status.DRAFT,
        valid_from=None,
        valid_until=None,
        boundary=ProcessingBoundary.SERVER,
        boundary_clause="Annex I §1.2",
        viewing_places=frozenset({Place.SITE, Place.COUNTRY}),
        viewing_clause="Annex I §5.1",
        permissions=demo_permissions(),
        regions=frozenset({"local"}),
        regions_clause="Annex I §1.3",
        sub_processors=(
            SubProcessor(
                name="Gantry project",
                clause="Annex II §1",
                task="Models that ship with the platform",
                activities=frozenset({Activity.INFER}),
                categories=care_data,
                regions=frozenset({"local"}),
            ),
        ),
        sub_processors_clause="Annex II",
        retention={
            category: RetentionRule(clause="Annex III", keep_days=365 if category is DataCategory.USAGE else None)
            for category in DataCategory
        },
        breach=BreachRule(clause="§9"),
        end=EndRule(clause="§11"),
    )
    return Content(
        title=title,
        template="custom",
        controller=Party(organisation),
        processor=Party("Operator of this demonstration"),
        sections=(),
        terms=terms,
    )

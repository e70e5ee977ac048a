"""What the demo tenants agree to: the template, for radiology AI on the organisation's own ground."""

from __future__ import annotations

from gantry.agreements.public import Content, Party, SubProcessor, content_from_template
from gantry.kernel.vocabulary import Activity, DataCategory

#: Where an embedded stack holds its data (`GANTRY_CELL__REGION`).
_REGION = "local"


def demo_content(slug: str, organisation: str) -> Content:
    """Return the agreement of a demo tenant: it lists the models that ship with the platform, and nobody else."""
    models = SubProcessor(
        name="Gantry project",
        clause="Annex B §1",
        task="Models that ship with the platform",
        activities=frozenset({Activity.INFER}),
        categories=frozenset(DataCategory) - {DataCategory.USAGE},
        regions=frozenset({_REGION}),
    )
    return content_from_template(
        "gdpr-28",
        controller=Party(organisation, f"{slug.title()} Street 1", f"privacy@{slug}.example"),
        processor=Party("Operator of this demonstration", "This machine", "operator@gantry.example"),
        regions=frozenset({_REGION}),
        sub_processors=(models,),
    )

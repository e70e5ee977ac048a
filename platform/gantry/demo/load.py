"""Making the demo tenants through the same services that everybody uses; each step is done once."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from pydicom import Dataset

from gantry.agreements.public import (
    Side,
    Signatory,
    Status,
    draft_agreement,
    list_agreements,
    load_terms,
    review_agreement,
    sign_agreement,
)
from gantry.catalog.public import Phase, deploy_model, list_cards, list_deployed_cards
from gantry.demo.agreement import demo_content
from gantry.demo.credentials import DemoFile, email_of
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.identity.public import create_person, find_person
from gantry.kernel.actor import Actor, system_actor
from gantry.kernel.ids import AgreementId
from gantry.kernel.vocabulary import MEMBER_ROLES, Activity, Place, Role
from gantry.studies.public import MemFile, ParserPool, Received, count_studies, open_ingest, store_batch
from gantry.tenancy.public import (
    add_member,
    create_institution,
    create_tenant,
    find_tenant,
    issue_token,
    list_institutions,
    list_members,
    resolve_person,
)
from gantry.vault.public import get_vault
from gantry_inference.phantoms import generate_chest, generate_pelvis, write_ct_series

_NAMES = {"north": "North Hospital Group", "west": "West Clinics", "south": "South Medical Centre"}
_INSTITUTIONS = {
    "north": (("harbour", "Harbour General Hospital"), ("hill", "Hill Orthopaedic Clinic")),
    "west": (("west", "West City Hospital"),),
    "south": (("south", "South Medical Centre"),),
}
_PEOPLE = {
    Role.ADMIN: "Alex Admin",
    Role.COMPLIANCE: "Chris Compliance",
    Role.RADIOLOGIST: "Robin Radiologist",
    Role.SURGEON: "Sam Surgeon",
    Role.REFERRER: "Riley Referrer",
    Role.INTEGRATOR: "Ira Integrator",
}
#: Embedded stacks listen on loopback alone, so whoever comes from there sits at the machine itself.
_NETWORKS = [("127.0.0.0/8", Place.SITE.value), ("::1/128", Place.SITE.value)]
_MAX_BYTES = 4 * 1024 * 1024


def load_demo(root: Path, *, say: Callable[[str], object], slices: int | None = None) -> None:
    """Make the three demo tenants where they, or parts of them, are missing; `slices` is the size of the phantoms."""
    file = DemoFile.open(root)
    for slug in file.passwords:
        say(f"Tenant {slug}")
        tenant_id = find_tenant(slug) or create_tenant(slug=slug, name=_NAMES[slug], networks=_NETWORKS)
        actor = system_actor(tenant_id)
        with tenant_scope(actor):
            _load_people(file, slug, actor)
            _load_agreement(slug, actor)
            if slug != "south":
                _load_model(actor)
                _load_study(slug, actor, say, slices)


def _load_people(file: DemoFile, slug: str, actor: Actor) -> None:
    known = {one.code for one in list_institutions(actor=actor)}
    for code, name in _INSTITUTIONS[slug]:
        if code not in known:
            create_institution(actor=actor, code=code, name=name)
    default = next(one for one in list_institutions(actor=actor) if one.is_default)
    members = {member.user_id for member in list_members()}
    for role in MEMBER_ROLES:
        email = email_of(slug, role)
        user_id = (
            find_person(email)
            or create_person(email=email, name=_PEOPLE[role], password=file.passwords[slug][role.value]).pk
        )
        if user_id not in members:
            add_member(actor=actor, user_id=user_id, role=role)
        if role.value not in file.tokens.setdefault(slug, {}):
            # An integrator's token is a system's, bound to a hospital; the others are their person's own.
            is_system = role is Role.INTEGRATOR
            issued = issue_token(
                actor=actor,
                account_name=f"Demo {role}",
                role=role,
                institution_id=default.pk if is_system else None,
                user_id=None if is_system else user_id,
                label="demo",
            )
            file.tokens[slug][role.value] = issued.secret
            file.write()


def _load_agreement(slug: str, actor: Actor) -> None:
    known = list_agreements()
    if known and not _is_older(slug, [each.version for each in known]):
        return
    title = f"Data processing agreement of {_NAMES[slug]}"
    agreement = draft_agreement(
        actor=actor,
        version=f"{slug}-dpa-{len(known) + 1}",
        content=demo_content(title, _NAMES[slug]),
        amends=AgreementId(known[0].pk) if known else None,
    )
    if slug == "south":
        return
    key = AgreementId(agreement.pk)
    digest = review_agreement(actor=actor, agreement_id=key).document_sha256
    compliance = _person(slug, Role.COMPLIANCE)
    for side, signer, name in (
        (Side.CONTROLLER, compliance, _PEOPLE[Role.COMPLIANCE]),
        (Side.PROCESSOR, actor, "Operator of this demonstration"),
    ):
        sign_agreement(
            actor=signer, agreement_id=key, side=side, signatory=Signatory(name=name), document_sha256=digest
        )


def _is_older(slug: str, versions: list[str]) -> bool:
    """Tell whether a demo still has the agreement of before the platform's worker prepared images for the viewer.

    It is amended as any is, by a new version. What somebody made of the demo since is theirs, and left alone.
    """
    with unit_of_work():
        terms = load_terms()
    if versions != [f"{slug}-dpa-1"] or terms is None or terms.status is not Status.IN_FORCE:
        return False
    return not any(each.activity is Activity.RENDER and Role.SYSTEM in each.roles for each in terms.permissions)


def _person(slug: str, role: Role) -> Actor:
    """Return a demo person, acting at this machine."""
    user_id = find_person(email_of(slug, role.value))
    assert user_id is not None
    return resolve_person(slug=slug, user_id=user_id, address="127.0.0.1", session="demo", correlation_id="")


def _load_model(actor: Actor) -> None:
    deployed = {card.name for _, card in list_deployed_cards()}
    for card in list_cards():
        if card.name == "bone_ct" and card.name not in deployed:
            deploy_model(actor=actor, card=card, phase=Phase.OPTIONAL)


def _load_study(slug: str, actor: Actor, say: Callable[[str], object], slices: int | None) -> None:
    if count_studies():
        return
    say(f"Tenant {slug}: making a CT phantom")
    datasets = _north_study(slices or 96) if slug == "north" else _west_study(slices or 80)
    permit = open_ingest(actor=actor, institution_id=None)
    vault = get_vault()
    received = []
    with ParserPool(processes=1) as parsers:
        for start in range(0, len(datasets), 20):
            files = [_file(dataset) for dataset in datasets[start : start + 20]]
            for file, parsed in zip(files, parsers.parse_batch_sync(files), strict=True):
                with vault.begin(actor.tenant_id) as writer:
                    writer.write(file.view())
                    received.append(Received(writer.commit(), parsed))
                file.close()
    store_batch(actor=actor, permit=permit, received=received)


def _file(dataset: Dataset) -> MemFile:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    file = MemFile(_MAX_BYTES)
    file.write(buffer.getbuffer())
    return file


def _north_study(slices: int) -> list[Dataset]:
    phantom = generate_pelvis(20_260_101, shape_kji=(slices, 512, 512))
    return write_ct_series(
        phantom.volume,
        None,
        patient_name="Phantom^Nora",
        patient_id="N-0001",
        patient_sex="F",
        accession_number="N26-0001",
        referring_physician_name="Referrer^Riley",
        institution_name="Harbour General Hospital",
        seed=20_260_101,
    )


def _west_study(slices: int) -> list[Dataset]:
    phantom = generate_chest(20_260_102, shape_kji=(slices, 512, 512))
    return write_ct_series(
        phantom.volume,
        None,
        patient_name="Phantom^Wendel",
        patient_id="W-0001",
        patient_sex="M",
        accession_number="W26-0001",
        study_description="CT Thorax",
        body_part_examined="CHEST",
        referring_physician_name="Referrer^Riley",
        institution_name="West City Hospital",
        seed=20_260_102,
    )

"""The demo's agreement, in a state folder of before the platform's worker prepared images for the viewer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gantry.agreements.public import decide, draft_agreement, list_agreements
from gantry.demo.agreement import demo_content
from gantry.demo.credentials import email_of
from gantry.demo.load import load_demo
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.identity.public import create_person
from gantry.kernel.actor import Subject, system_actor
from gantry.kernel.ids import TenantId
from gantry.kernel.vocabulary import Activity, DataCategory, Place, Role
from gantry.tenancy.public import add_member, create_tenant, find_tenant, resolve_person
from world import put_in_force

pytestmark = pytest.mark.usefixtures("database")


def older_demo() -> TenantId:
    """Make the first demo tenant as it once was: its worker may store and analyse, and not prepare pictures."""
    content = demo_content("Data processing agreement", "North Hospital Group")
    permissions = tuple(
        replace(each, roles=each.roles - {Role.SYSTEM}) if each.activity is Activity.RENDER else each
        for each in content.terms.permissions
    )
    tenant_id = create_tenant(slug="north", name="North", networks=[("127.0.0.0/8", Place.SITE.value)])
    with tenant_scope(system_actor(tenant_id)):
        email = email_of("north", Role.COMPLIANCE.value)
        person = create_person(email=email, name="Chris Compliance", password="a long enough passphrase")
        add_member(actor=system_actor(tenant_id), user_id=person.pk, role=Role.COMPLIANCE)
        draft = draft_agreement(
            actor=system_actor(tenant_id),
            version="north-dpa-1",
            content=replace(content, terms=replace(content.terms, permissions=permissions)),
        )
        compliance = resolve_person(
            slug="north", user_id=person.pk, address="127.0.0.1", session="signing", correlation_id=""
        )
        put_in_force(compliance, draft.pk)
    return tenant_id


def may_prepare(tenant_id: TenantId) -> bool:
    worker = system_actor(tenant_id)
    subject = Subject(tenant_id, DataCategory.PIXEL_DATA)
    with tenant_scope(worker), unit_of_work():
        return decide(actor=worker, activity=Activity.RENDER, subject=subject).allowed


def versions(slug: str) -> list[tuple[str, str]]:
    tenant_id = find_tenant(slug)
    assert tenant_id is not None
    with tenant_scope(system_actor(tenant_id)), unit_of_work():
        return sorted((each.version, each.status) for each in list_agreements())


def test_demo_of_before_is_amended_by_a_new_version(tmp_path: Path) -> None:
    tenant_id = older_demo()
    assert not may_prepare(tenant_id)
    for _ in range(2):
        load_demo(tmp_path, say=lambda _: None, slices=4)
        assert versions("north") == [("north-dpa-1", "superseded"), ("north-dpa-2", "in_force")]
        assert may_prepare(tenant_id)
        assert versions("west") == [("west-dpa-1", "in_force")]
        assert versions("south") == [("south-dpa-1", "draft")]

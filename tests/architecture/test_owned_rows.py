"""Every table of ours belongs to a tenant, or stands in a list that says why not."""

from __future__ import annotations

from django.apps import apps

from gantry.foundation.models import TenantManager, TenantModel

#: People may belong to several tenants, and a tenant is not its own; the rest counts attempts and operators' acts.
SHARED = {
    "audit.PlatformEvent",
    "identity.Session",
    "identity.SignInTally",
    "identity.SpentCode",
    "identity.User",
    "tenancy.Tenant",
}


def test_table_is_owned_when_it_is_not_listed_as_shared() -> None:
    ours = [model for model in apps.get_models(include_auto_created=True) if model.__module__.startswith("gantry.")]
    assert {model._meta.label for model in ours if not issubclass(model, TenantModel)} == SHARED


def test_owned_rows_keep_the_guarded_manager() -> None:
    for model in apps.get_models():
        if issubclass(model, TenantModel):
            assert isinstance(model._default_manager, TenantManager), model

"""A tenant's keys: what there is of them, rotation, and destruction. Ordered in the trail before anything is done."""

from __future__ import annotations

from gantry.access.errors import KeysError
from gantry.access.policies import require_permission
from gantry.audit.public import Entry, Kind, Outcome, record, record_platform
from gantry.foundation.scope import unit_of_work
from gantry.kernel.actor import Actor
from gantry.kernel.vocabulary import AdminPermission
from gantry.vault.public import KeyReport, get_vault


def describe_keys(*, actor: Actor) -> KeyReport:
    """Return which versions of the tenant's key there are, how many keys lie under it, and how many were destroyed."""
    require_permission(actor, AdminPermission.KEY_MANAGE)
    return get_vault().keys.describe(actor.tenant_id)


def rotate_keys(*, actor: Actor) -> int:
    """Put every key of the tenant under a new tenant key and destroy the old one; returns the new version.

    A rotation that was cut short is finished instead of beginning another. What is open goes on: data keys of
    objects lie under patient keys, which stay what they are.
    """
    _note(actor, "keys.rotation_ordered")
    version = get_vault().keys.rotate_tenant_key(actor.tenant_id)
    _note(actor, "keys.rotated", version=version)
    return version


def finish_rotation(*, actor: Actor) -> int | None:
    """Put what a rotation that was cut short left under the old key under the new one; `None` where nothing is left."""
    if len(describe_keys(actor=actor).kek_versions) < 2:
        return None
    return rotate_keys(actor=actor)


def destroy_keys(*, actor: Actor, reason: str) -> None:
    """Destroy every key of the tenant: all its objects are noise from then on, in every backup, for ever.

    For a tenant whose data are to be erased, the erasure does this with a plan and a certificate; this is for keys
    that must not exist one moment longer. Whoever calls has looked for legal holds.

    Raises
    ------
    KeysError
        No reason, or the keys are gone already.
    """
    if len(reason.strip()) < 10:
        raise KeysError("Say in a sentence why the keys are destroyed: it is kept.")
    if describe_keys(actor=actor).is_destroyed:
        raise KeysError("The keys of this tenant were destroyed before.")
    _note(actor, "keys.destruction_ordered", reason=reason.strip()[:200])
    get_vault().keys.destroy_tenant(actor.tenant_id)
    _note(actor, "keys.destroyed")


def _note(actor: Actor, action: str, **detail: object) -> None:
    """Record in the tenant's trail and in the platform's, and commit."""
    decision = require_permission(actor, AdminPermission.KEY_MANAGE)
    texts = {key: str(value) for key, value in detail.items()}
    with unit_of_work():
        record(actor=actor, entry=Entry(kind=Kind.CONFIGURATION, action=action, decision=decision, detail=texts))
        record_platform(
            kind=Kind.CONFIGURATION,
            action=action,
            outcome=Outcome.SUCCESS,
            user_id=actor.user_id,
            correlation_id=actor.correlation_id,
            detail={**texts, "tenant_id": str(actor.tenant_id)},
        )

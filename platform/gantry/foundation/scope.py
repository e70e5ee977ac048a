"""The tenant scope: no owned row is touched outside one, and every touch happens in a transaction."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from gantry.foundation.context import enter_context
from gantry.foundation.guard import current_guard
from gantry.kernel.actor import Actor
from gantry.kernel.ids import TenantId

P = ParamSpec("P")
R = TypeVar("R")


class ScopeError(RuntimeError):
    """A bug: owned data was touched outside a tenant scope, or a scope was entered inside another tenant's."""


@dataclass(frozen=True, slots=True)
class TenantScope:
    tenant_id: TenantId
    actor: Actor


_current: ContextVar[TenantScope | None] = ContextVar("gantry_tenant_scope", default=None)


def current_scope() -> TenantScope:
    """Return the scope in force; raises `ScopeError` when there is none."""
    scope = _current.get()
    if scope is None:
        raise ScopeError("No tenant scope: wrap the call in `tenant_scope(actor)`.")
    return scope


def current_tenant_id() -> UUID:
    """Return the tenant of the scope in force (the default of every `tenant_id` column)."""
    return current_scope().tenant_id


@contextlib.contextmanager
def tenant_scope(actor: Actor) -> Iterator[TenantScope]:
    """Act for the actor's tenant until the block ends. Opens no transaction by itself."""
    outer = _current.get()
    if outer is not None and outer.tenant_id != actor.tenant_id:
        raise ScopeError("A tenant scope cannot be entered inside another tenant's.")
    scope = TenantScope(tenant_id=actor.tenant_id, actor=actor)
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)


@contextlib.contextmanager
def unit_of_work() -> Iterator[TenantScope]:
    """Open a transaction with the signed context; joins the one in progress, if any."""
    scope = current_scope()
    if connection.in_atomic_block:
        if getattr(connection, "gantry_tenant_id", None) != scope.tenant_id:
            raise ScopeError("A transaction is open for another tenant, or without a tenant.")
        with transaction.atomic():
            yield scope
        return
    with transaction.atomic():
        enter_context(connection, settings.CONTEXT_KEY, tenant_id=scope.tenant_id, actor_id=scope.actor.id)
        connection.gantry_tenant_id = scope.tenant_id  # type: ignore[attr-defined]  # ours, read above
        guard = current_guard()
        try:
            with guard.unit() if guard else contextlib.nullcontext():
                yield scope
        finally:
            connection.gantry_tenant_id = None  # type: ignore[attr-defined]  # ours, read above


def atomic_service(function: Callable[P, R]) -> Callable[P, R]:
    """Run a service in one unit of work."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with unit_of_work():
            return function(*args, **kwargs)

    return wrapper

"""What the isolation tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from audit_trail import Trail
    from world import World


@pytest.fixture
def trail_of(connect: Callable[[str], Any]) -> Callable[[World], Trail]:
    """Return a function that opens a tenant's audit trail, as the auditor reads it."""
    from audit_trail import Trail

    return lambda world: Trail(connect, world)

"""The shared stack, its site, and studies sent to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from site_user import Site
from stack import WholeStack, shared_stack


@pytest.fixture(scope="session")
def whole_stack() -> WholeStack:
    """The run's stack."""
    return shared_stack()


@pytest.fixture
def stack(whole_stack: WholeStack) -> Iterator[WholeStack]:
    """The run's stack, well before and after."""
    whole_stack.wait_well()
    yield whole_stack
    whole_stack.wait_well()


@pytest.fixture
def site(stack: WholeStack) -> Site:
    """The stack's site as programs and people use it."""
    return Site(stack)

"""Fixtures of the daemon's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .workspace import Workspace


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """A private world without a daemon."""
    with Workspace() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Workspace]:
    """A private world with a daemon, for tests that change nothing in it."""
    with Workspace() as made:
        made.daemon()
        yield made

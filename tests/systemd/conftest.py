"""A user manager for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .manager import UserManager, reason_to_skip, user_manager


@pytest.fixture
def manager() -> Iterator[UserManager]:
    """A real systemd user manager, with nothing installed."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
    with user_manager() as running:
        yield running

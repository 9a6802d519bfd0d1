"""What the tests of transports share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import processes


def open_fds() -> dict[str, str]:
    """This process's open file descriptors and what they are."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue  # the one the listing itself used
    return found


_others: set[int] = set()
"""Children from before a test, which are none of its business: a cluster that other tests keep up, say."""


@pytest.fixture(autouse=True)
def _others_are_known() -> None:
    _others.clear()
    _others.update(children())


def children() -> set[int]:
    """The processes, zombies included, whose parent is this one, and which began during the test."""
    return set(processes.children(os.getpid())) - _others


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio, as the daemon."""
    return "asyncio"

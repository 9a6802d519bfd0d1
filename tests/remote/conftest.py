"""What the tests of transports share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(stat.parent.name))
    return found - _others


@pytest.fixture
def anyio_backend() -> str:
    """Asyncio, as the daemon."""
    return "asyncio"

"""What every scheduler's list of partitions or queues has in common: it is bounded, and its names can be asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.partitions import Partition
from sessiond.render.directives import NAME
from sessiond.schedulers.batch import reply

MOST: Final = 1000
"""More are no choice; real clusters have up to a few hundred."""
LARGEST_BYTES: Final = 2 * 1024 * 1024
"""A queue of PBS is about 1 KiB of attributes."""


def records(done: Completed, missing_hint: str) -> list[list[str]]:
    """The reply's records. Raises Unreadable."""
    if len(done.stdout) > LARGEST_BYTES:
        raise Unreadable(f"the list has {len(done.stdout) >> 20} MiB: that is no list of partitions")
    return reply.records(done, missing_hint)


def plausible(found: Iterable[Partition]) -> tuple[Partition, ...]:
    """Those that can be asked for, each once. Raises Unreadable where there is none, or more than anybody could choose
    from."""
    by_name: dict[str, Partition] = {}
    for one in found:
        if NAME.fullmatch(one.name):
            by_name.setdefault(one.name, one)
    if not by_name:
        raise Unreadable("the scheduler lists nothing that could be chosen")
    if len(by_name) > MOST:
        raise Unreadable(f"the list has {len(by_name)} entries: that is no list of partitions")
    return tuple(by_name.values())

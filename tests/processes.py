"""The machine's processes, as they are now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def stats() -> Iterator[tuple[int, list[str]]]:
    """Every process: its pid, and the fields of its stat file from the state on (proc(5)).

    One that ends meanwhile is left out. Not by ``glob("[0-9]*/stat")``: that raises where a process ends in the middle
    of it (Python 3.11).
    """
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()


def children(parent: int) -> list[int]:
    """The processes, zombies included, whose parent is ``parent``."""
    return [pid for pid, fields in stats() if int(fields[1]) == parent]

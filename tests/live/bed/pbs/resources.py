"""What a job asks for: durations, sizes, and ``select`` with its chunks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import TEXTS, Code, Refused

KNOWN = frozenset(
    {"arch", "cput", "host", "mem", "mpiprocs", "ncpus", "ngpus", "nice", "nodect", "nodes", "ompthreads"}
    | {"pcput", "place", "pmem", "pvmem", "select", "software", "vmem", "vnode", "walltime"}
)
_DURATIONS = frozenset({"cput", "pcput", "walltime"})
_SIZES = frozenset({"mem", "pmem", "pvmem", "vmem"})
_COUNTS = frozenset({"mpiprocs", "ncpus", "ngpus", "nodect", "ompthreads"})
# Summed up over the chunks.
_SUMMED = ("mem", "mpiprocs", "ncpus", "ngpus")
_SIZE = re.compile(r"([0-9]+)([kmgtp]?)([bw]?)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of a job that is on one node; ``mem_kb`` is 0 where nothing is said of memory, ``host`` empty: any."""

    ncpus: int
    mem_kb: int
    host: str


def seconds(text: str) -> int:
    """``SS``, ``MM:SS`` or ``HH:MM:SS``. Raises ValueError."""
    total = 0
    for piece in text.partition(".")[0].split(":"):
        if not piece.isdecimal():
            raise ValueError(text)
        total = total * 60 + int(piece)
    return total


def clock(duration_s: float) -> str:
    """``HH:MM:SS``, with as many hours as it takes."""
    whole = int(duration_s)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def kilobytes(text: str) -> int:
    """A size such as ``4gb``, rounded up. Raises ValueError."""
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(text)
    number = int(found[1]) * (8 if found[3].lower() == "w" else 1)
    power = " kmgtp".index(found[2].lower() or " ")
    return number * 1024 ** (power - 1) if power else -(-number // 1024)


def checked(name: str, value: str) -> str:
    """A resource as the server keeps it. Raises Refused."""
    if name not in KNOWN:
        raise Refused(Code.UNKRESC, f"Unknown resource Resource_List.{name}")
    try:
        if name in _DURATIONS:
            return clock(seconds(value))
        if name in _SIZES:
            kilobytes(value)
        elif name in _COUNTS:
            int(value)
        elif name == "select":
            chunks(value)
    except ValueError:
        raise Refused(Code.BADATVAL, f"{TEXTS[Code.BADATVAL]} Resource_List.{name}") from None
    return value


def chunks(select: str) -> list[Chunk]:
    """The chunks of ``2:ncpus=4:mem=1gb+1``. Raises ValueError, and Refused for a resource that is not known."""
    found: list[Chunk] = []
    for piece in select.split("+"):
        words = piece.split(":")
        many = int(words.pop(0)) if words[0].isdecimal() else 1
        given = _given(words)
        chunk = Chunk(
            ncpus=int(given.get("ncpus", "1")),
            mem_kb=kilobytes(given.get("mem", "0")),
            host=given.get("host", given.get("vnode", "")),
        )
        if not many:
            raise ValueError(select)
        found += [chunk] * many
    return found


def complete(asked: dict[str, str], walltime: str) -> dict[str, str]:
    """All of Resource_List for what was asked for, each already checked; ``walltime`` is for who says nothing of it."""
    found = {"walltime": walltime, **asked}
    if "nodes" in found:
        found["select"], found["place"] = _of_nodes(found["nodes"]), "scatter"
    if "select" not in found:
        wanted = {"ncpus": "1", **{name: found[name] for name in _SUMMED if name in found}}
        found["select"] = ":".join(["1", *(f"{name}={value}" for name, value in sorted(wanted.items()))])
        found = {"place": "pack", **found}
    parts = chunks(found["select"])
    found = {"place": "free", **found, "ncpus": str(sum(part.ncpus for part in parts)), "nodect": str(len(parts))}
    memory = sum(part.mem_kb for part in parts)
    if memory and "mem" not in asked:
        found["mem"] = f"{memory}kb"
    return found


def _given(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise ValueError(word)
        if name not in KNOWN:
            raise Refused(Code.UNKRESC, f"Unknown resource: {name}")
        given[name] = value
    return given


def _of_nodes(nodes: str) -> str:
    """``2:ppn=4`` of old scripts as a select."""
    parts: list[str] = []
    for piece in nodes.split("+"):
        words = piece.split(":")
        many = words.pop(0) if words[0].isdecimal() else "1"
        each = next((word[4:] for word in words if word.startswith("ppn=")), "1")
        parts.append(f"{many}:ncpus={each}:mpiprocs={each}")
    return "+".join(parts)

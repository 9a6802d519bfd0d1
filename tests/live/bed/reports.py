"""What a bed tells of its jobs and of the calls that users made: texts of Slurm and of the counting programs, read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

FORMAT = "\x1f".join(("%i", "%j", "%u", "%T", "%P", "%N", "%r", "%k"))
"""For ``squeue --format``: what `jobs_of` reads."""

_FIELDS = ("id", "name", "user", "state", "partition", "nodes", "reason", "comment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A line of squeue. ``nodes`` is empty before it starts."""

    id: str
    name: str
    user: str
    state: str
    partition: str
    nodes: str
    reason: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A user's call of one of the scheduler's programs. ``at`` in seconds UTC; ``tag`` is a session's, empty if none
    shows; ``folder`` is where it was called, empty if that was not written down.
    """

    at: float
    host: str
    user: str
    program: str
    tag: str
    arguments: str
    folder: str = ""


def jobs_of(text: str) -> list[Job]:
    """What squeue printed in `FORMAT`."""
    lines = [line.replace("(null)", "").split("\x1f") for line in text.split("\n") if line]
    return [Job(**dict(zip(_FIELDS, line, strict=True))) for line in lines]


def fields_of(line: str) -> Mapping[str, str]:
    """``Key=value Key=value ...``; a value may hold blanks."""
    return dict(re.findall(r"(\w[\w:/]*)=(.*?)(?=\s+\w[\w:/]*=|\s*$)", line.strip()))


def call_of(line: str) -> Call:
    """A line of the counting programs' file; see `config.counting`."""
    at, host, user, program, tag, arguments, *more = line.split("\t")
    if not tag and (found := re.search(r"\bsd-[0-9a-z]{12}\b", arguments)):
        tag = found[0]
    return Call(
        at=float(at),
        host=host,
        user=user,
        program=program,
        tag=tag,
        arguments=arguments.strip(),
        folder="".join(more),
    )

"""The words of the API about clusters, when they are asked something. As `wire`: types only, no imports at run time."""

from __future__ import annotations

from typing import Literal, TypedDict


class Check(TypedDict):
    """One thing that was looked at on a cluster, what was found, and what to do about it (may be empty)."""

    what: str
    ok: Literal["ok", "warn", "bad"]
    finding: str
    remedy: str


class Partition(TypedDict):
    """A partition of Slurm or a queue of PBS. ``takes``: jobs can be submitted to it; ``starts``: it lets them begin.

    ``longest_s`` is the longest walltime in seconds, null where there is no limit or none is told. ``text`` says all of
    it in words.
    """

    name: str
    default: bool
    takes: bool
    starts: bool
    longest_s: int | None
    nodes: int | None
    text: str


class Remarks(TypedDict):
    """What a person should know about a choice before it is submitted, a sentence each, or empty."""

    partition: str
    time: str


class Partitions(TypedDict):
    """The partitions or queues of a cluster (``kind``; empty where it has none), as far as they are ``known``.

    ``asking``: the cluster is being asked just now. ``code``, ``why`` and ``hint``: why it cannot be, or could not, and
    what to do, as errors have them. ``usual`` is where a job goes for which nothing is said; empty: that is not known.
    """

    kind: Literal["partition", "queue", ""]
    known: bool
    asking: bool
    age_s: float | None
    usual: str
    partitions: list[Partition]
    code: str
    why: str
    hint: str
    remarks: Remarks

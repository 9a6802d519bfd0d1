"""What a cluster's scheduler offers to choose from: Slurm's partitions, PBS's queues, and what is to be said of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition or queue. One that does not take jobs refuses them; one that does not start them lets them wait.

    ``longest_s`` is the longest walltime in seconds, ``nodes`` how many it has; None where that is not told, or where
    there is no limit.
    """

    name: str
    is_default: bool = False
    takes: bool = True
    starts: bool = True
    longest_s: int | None = None
    nodes: int | None = None

    @property
    def shut(self) -> str:
        """Why a job would not run there now, in words; empty where it may."""
        if not self.takes:
            return "takes no jobs now"
        return "" if self.starts else "starts no jobs now"


def in_words(one: Partition) -> str:
    """What a person wants to know before they choose it: ``default, up to 2:00:00, 8 nodes``."""
    nodes = "" if one.nodes is None else "1 node" if one.nodes == 1 else f"{one.nodes} nodes"
    longest = "" if one.longest_s is None else f"up to {length(one.longest_s)}"
    return ", ".join(filter(None, ("default" if one.is_default else "", one.shut, longest, nodes)))


def length(total_s: int) -> str:
    """A walltime as people write it: ``2:00:00``, ``14 days``."""
    days, rest = divmod(total_s, _DAY_S)
    if days and not rest:
        return "1 day" if days == 1 else f"{days} days"
    clock = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock.rjust(8, '0')}" if days else clock


def usual(partitions: Sequence[Partition]) -> str:
    """The name of the one that a job goes to which asks for none; empty where there is none such."""
    return next((one.name for one in partitions if one.is_default), "")


def about_choice(partitions: Sequence[Partition], chosen: str, kind: str) -> str:
    """What a person should know who ``chose`` a partition or queue (``kind``); empty where there is nothing to say.

    Names are compared as they are: several, or with a server behind an ``@``, are nothing that was asked about.
    """
    if not chosen or any(mark in chosen for mark in ",@"):
        return ""
    one = _called(partitions, chosen)
    if one is None:
        return f"the cluster does not list a {kind} of this name"
    return f"{one.name} {one.shut}" if one.shut else ""


def about_time(partitions: Sequence[Partition], chosen: str, asked_s: int | None) -> str:
    """What a person should know who asks for a walltime in the partition they chose; empty where that is all right."""
    one = _called(partitions, chosen)
    if one is None or asked_s is None or one.longest_s is None or asked_s <= one.longest_s:
        return ""
    return f"{one.name} gives a job {length(one.longest_s)} at most"


def _called(partitions: Sequence[Partition], name: str) -> Partition | None:
    return next((one for one in partitions if one.name == name), None)

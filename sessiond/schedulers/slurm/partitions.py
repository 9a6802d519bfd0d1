"""Reading what sinfo says of the partitions, and walltimes as Slurm writes them. Checked against Slurm 22.05."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.partitions import Partition
from sessiond.schedulers import common
from sessiond.schedulers.batch import partitions as lists
from sessiond.schedulers.slurm.reply import TROUBLE, take_answer
from sessiond.schedulers.slurm.words import LEXICON, hint_for, in_words

_FIELDS: Final = 4
# What Slurm's states of a partition let jobs do: be submitted, be started (scontrol(1), State).
_STATES: Final = {
    "up": (True, True),
    "down": (True, False),
    "drain": (False, True),
    "inact": (False, False),
    "inactive": (False, False),
}
_NODES: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_TIME: Final = re.compile(
    r"(?:(?P<days>[0-9]{1,6})-(?P<of_day>[0-9]{1,6}(?::[0-9]{1,6}){0,2})|(?P<clock>[0-9]{1,9}(?::[0-9]{1,6}){0,2}))",
    re.ASCII,
)


def partitions(done: Completed) -> tuple[Partition, ...]:
    """The partitions, in the order in which Slurm has them. Raises Unreadable.

    Lines that are no partition's (a cluster's name in a federation, a greeting) are left out.
    """
    said = take_answer(lists.records(done, LEXICON.missing_hint), "partitions")
    if said.rc != 0 or TROUBLE.search(said.err):
        words = in_words(said.err) or f"exit status {said.rc}"
        raise Unreadable(f"sinfo does not answer: {words}", hint=hint_for(said.err, then=""))
    if said.out and not said.out.endswith("\n"):
        raise Unreadable("sinfo's answer is cut off")
    return lists.plausible(_read(said.out))


def _read(text: str) -> Iterator[Partition]:
    for line in text.split("\n"):
        fields = [field.strip() for field in line.split(common.FIELD)]
        if len(fields) != _FIELDS + 1 or fields[1].lower() not in _STATES:
            continue
        name, state, longest, nodes, _ = fields
        takes, starts = _STATES[state.lower()]
        yield Partition(
            name=name.removesuffix("*"),
            is_default=name.endswith("*"),
            takes=takes,
            starts=starts,
            longest_s=None if ":" not in longest else walltime_s(longest),
            nodes=int(nodes) if _NODES.fullmatch(nodes) else None,
        )


def walltime_s(text: str) -> int | None:
    """Seconds of a walltime as ``--time`` has it: minutes, ``MM:SS``, ``HH:MM:SS``, and with days ``D-HH[:MM[:SS]]``
    (sbatch(1)). None for what is none, no limit included."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    if found["days"]:
        hours, minutes, rest = [*map(int, found["of_day"].split(":")), 0, 0][:3]
        return int(found["days"]) * 86400 + hours * 3600 + minutes * 60 + rest
    parts = [int(part) for part in found["clock"].split(":")]
    hours, minutes, rest = parts if len(parts) == 3 else [0, *parts, 0][:3]
    return hours * 3600 + minutes * 60 + rest

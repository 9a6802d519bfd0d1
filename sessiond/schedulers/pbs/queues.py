"""What a queue would make of a job, from ``qstat -Q -f``; PBS itself has no rehearsal of a submission."""

from __future__ import annotations

import re

from sessiond.core.errors import Refused, Unreadable
from sessiond.core.spec import Resources
from sessiond.schedulers.common import printable
from sessiond.schedulers.pbs.reply import Listed, blocks, seconds

QUEUE = re.compile(r"Queue:[ \t]*(\S+)\s*", re.ASCII)
SERVER = re.compile(r"Server:[ \t]*(\S+)\s*", re.ASCII)
_STATE_COUNT = re.compile(r"(Queued|Running):([0-9]{1,9})", re.ASCII)
_YES = frozenset({"true", "yes", "t", "y", "1"})
_NO_TELLING = "PBS does not say beforehand when it would start"


def outlook(text: str, queue: str, resources: Resources) -> str:
    """What is to be expected of ``queue`` (empty: the server's default), in a sentence.

    ``text`` is what ``qstat -Q -f`` says of it, or ``qstat -B -f`` of the server. Raises Refused where it would take no
    such job, Unreadable.
    """
    if not queue:
        servers = blocks(text, SERVER)
        if not servers:
            raise Unreadable("the scheduler's answer about its server cannot be understood")
        default = printable(servers[0]["default_queue"])
        where = (
            f"it would go to the queue {default}"
            if default
            else "it has no default queue: choose one with --set queue="
        )
        return f"the scheduler answers, and {where}; {_NO_TELLING}"
    found = next((one for one in blocks(text, QUEUE) if one.id == queue.partition("@")[0]), None)
    if found is None:
        raise Unreadable(f"the scheduler's answer about the queue {printable(queue)} cannot be understood")
    _refuse(found, resources)
    counts = dict(_STATE_COUNT.findall(found["state_count"]))
    busy = f" ({counts['Running']} running there, {counts['Queued']} waiting)" if len(counts) == 2 else ""
    if not is_true(found, "started"):
        return f"the queue {queue} would take it and not start it: it is stopped{busy}"
    return f"the queue {queue} would take it{busy}; {_NO_TELLING}"


def _refuse(queue: Listed, resources: Resources) -> None:
    if not is_true(queue, "enabled"):
        raise Refused(f"the queue {queue.id} takes no jobs now", hint="choose another with --set queue=, or wait")
    asked, longest, least = (
        resources.walltime_s,
        *(seconds(queue[f"resources_{end}.walltime"]) for end in ("max", "min")),
    )
    if asked is not None and longest is not None and asked > longest:
        raise Refused(f"the queue {queue.id} gives a job {_length(longest)} at most", hint="ask for less with --time")
    if asked is not None and least is not None and asked < least:
        raise Refused(f"the queue {queue.id} wants jobs of {_length(least)} at least", hint="ask for more with --time")
    cpus, most = (resources.cpus or 1) * (resources.tasks or resources.nodes or 1), queue.number("resources_max.ncpus")
    if most is not None and cpus > most:
        raise Refused(
            f"the queue {queue.id} gives a job {most} processors at most", hint="ask for fewer with --set cpus="
        )


def is_true(queue: Listed, name: str, *, untold: bool = True) -> bool:
    """Whether an attribute is true; one that is not told is ``untold``."""
    said = queue[name].strip().lower()
    return said in _YES if said else untold


def _length(total_s: int) -> str:
    return f"{total_s // 3600}:{total_s // 60 % 60:02d}:{total_s % 60:02d}"

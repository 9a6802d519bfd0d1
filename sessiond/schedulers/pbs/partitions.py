"""Reading what qstat says of the queues: OpenPBS 23.06, and Torque's form as Debian's front end to Slurm prints it."""

from __future__ import annotations

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.partitions import Partition
from sessiond.schedulers.batch import partitions as lists
from sessiond.schedulers.batch.reply import Answer, take_answer
from sessiond.schedulers.pbs.queues import QUEUE, SERVER, is_true
from sessiond.schedulers.pbs.reply import Listed, blocks, seconds
from sessiond.schedulers.pbs.words import LEXICON, hint_for, in_words


def partitions(done: Completed) -> tuple[Partition, ...]:
    """The queues that jobs can be submitted to, routing ones included. Raises Unreadable.

    Without a word of the server none is the default.
    """
    found = lists.records(done, LEXICON.missing_hint)
    said, about_server = take_answer(found, "queues"), take_answer(found, "server")
    if said.rc != 0 or "cannot connect" in said.err:
        words = in_words(said.err) or f"exit status {said.rc}"
        raise Unreadable(f"qstat does not answer: {words}", hint=hint_for(said.err, then=""))
    if said.out and not said.out.endswith("\n\n"):
        # An empty line ends each queue.
        raise Unreadable("qstat's answer is cut off")
    default = _default(about_server)
    queues = blocks(said.out, QUEUE)
    return lists.plausible(
        _partition(one, default) for one in queues if not is_true(one, "from_route_only", untold=False)
    )


def _default(said: Answer) -> str:
    servers = blocks(said.out, SERVER) if said.rc == 0 else []
    return servers[0]["default_queue"].strip() if servers else ""


def _partition(queue: Listed, default: str) -> Partition:
    return Partition(
        name=queue.id,
        is_default=queue.id == default,
        takes=is_true(queue, "enabled"),
        starts=is_true(queue, "started"),
        longest_s=seconds(queue["resources_max.walltime"]),
    )

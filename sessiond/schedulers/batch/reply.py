"""Reading what the batch_*.sh scripts reply: the cluster's clock, what programs said, what sessions' files say.

Nothing here decides what an answer means; it raises Unreadable for one that does not prove to be whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.session import Endpoint
from sessiond.schedulers import common


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a session's own files say: its exit record, its failure's first line, its endpoint."""

    folder: bool
    run: str
    status: int | None
    at: float | None
    reason: str
    failure: str
    endpoint: Endpoint | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one program said: its output, exit status and errors."""

    out: str
    rc: int
    err: str


def records(done: Completed, missing_hint: str) -> list[list[str]]:
    """The reply's records. Raises Unreadable, with ``missing_hint`` where the command to be asked is not there."""
    found = common.reply(done)
    if done.rc == 69 and len(found) == 1 and found[0][0] == "missing" and len(found[0]) == 2:
        raise Unreadable(common.printable(found[0][1]), hint=missing_hint)
    if done.rc != 0:
        raise Unreadable(f"the answer came with exit status {done.rc}")
    return found


def take_clock(found: list[list[str]]) -> float:
    """The cluster's time, from the first record, which is taken away."""
    if not found or len(found[0]) != 2 or found[0][0] != "clock":
        raise Unreadable("the answer does not say the cluster's time")
    clock = common.seconds(found.pop(0)[1])
    if clock is None:
        raise Unreadable("the cluster's time cannot be understood")
    return clock


def take_answer(found: list[list[str]], what: str) -> Answer:
    """What one program said, from the first two records, which are taken away; asked twice, the second counts."""
    answer = None
    while len(found) >= 2 and found[0][0] == what:
        asked, said = found.pop(0), found.pop(0)
        if len(said) != 3 or said[0] != "said" or not re.fullmatch(r"[0-9]{1,3}", said[1], re.ASCII):
            break
        answer = Answer(out=common.FIELD.join(asked[1:]), rc=int(said[1]), err=said[2])
    if answer is None:
        raise Unreadable(f"the answer has no word of {what}")
    return answer


def own_word(record: Sequence[str]) -> Said:
    """What `files.sh` said of one session's folder."""
    if len(record) < 11 or record[0] not in {"0", "1"}:
        raise Unreadable(f"the look at a session's folder has {len(record)} fields")
    folder, status, at, run, reason, failure, published, *where = record
    valid = re.fullmatch(r"[0-9]{1,3}", status, re.ASCII) is not None and int(status) < 256
    return Said(
        folder=folder == "1",
        run=run if valid else "",
        status=int(status) if valid else None,
        at=common.seconds(at) if valid else None,
        reason=common.printable(reason) if valid else "",
        failure=common.printable(failure),
        endpoint=common.endpoint(published, *where),
    )

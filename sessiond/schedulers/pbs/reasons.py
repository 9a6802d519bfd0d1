"""Why a job waits, from PBS's comment on it to a sentence's end in plain words.

Source of the comments: recorded with OpenPBS 23.06, and the messages of its scheduler (constant.h). What is not known
is shown as PBS said it.
"""

from __future__ import annotations

import re
from typing import Final

from sessiond.schedulers.common import printable
from sessiond.schedulers.pbs.reply import Listed

_PREFIX: Final = re.compile(r"^(Not Running|Can Never Run)\s*:\s*", re.IGNORECASE)
_SHORT: Final = re.compile(
    r"Insufficient amount of (?:server |queue )?resource:? (\S+)(?: \(R: (\S+) A: (\S+) T: (\S+?)\))?"
)
_RESOURCES: Final = {
    "ncpus": "processors",
    "mem": "memory",
    "ngpus": "GPUs",
    "mpiprocs": "MPI processes",
    "vmem": "virtual memory",
}
_KNOWN: Final = (
    (r"Not enough free nodes available", "waiting for free nodes"),
    (r"Not enough total nodes available|Never enough", "it asks for more nodes than there are"),
    (r"too few free resources|No available resources on nodes", "waiting for nodes with enough free"),
    (r"reservation or top ?job", "waiting behind jobs of higher priority or a reservation"),
    (r"(?:would|will) conflict with reservation|conflicts with reservation", "waiting until a reservation is over"),
    (r"top ?job|would be delayed|backfill|strict ordering", "waiting behind jobs of higher priority"),
    (r"not in a reservation|reservation not running", "waiting for its reservation to begin"),
    (r"queue is not started|Queue not started", "the queue is stopped: it starts no jobs"),
    (r"[Dd]edicated time", "waiting until a time that is kept free is over"),
    (r"[Pp]rime ?time", "waiting for a time of day at which the queue runs jobs"),
    (r"limit", ""),
    (r"offline|ineligible state|[Nn]ode is down|Could not find suitable", "waiting for nodes that are down or offline"),
    (r"license|License", "waiting for a licence"),
    (r"Draining", "waiting behind a job that has waited long"),
    (r"[Ss]cheduler has no access|PBS Error", ""),
)
_WHOSE: Final = (
    (re.compile(r"per-user|[Uu]ser .*limit"), "your"),
    (re.compile(r"per-group|[Gg]roup .*limit"), "your group's"),
    (re.compile(r"per-project|[Pp]roject .*limit"), "your project's"),
    (re.compile(r"[Qq]ueue .*limit|queue's"), "the queue's"),
    (re.compile(r"[Ss]erver .*limit"), "the server's"),
)
_HOLDS: Final = {
    "u": "held by its owner: qrls lets it go",
    "o": "held by the cluster's operators",
    "p": "held: the password it needs was wrong",
    "s": "held by the system: its administrators can let it go",
}


def in_words(job: Listed) -> str:
    """Why a job that does not run waits; empty where nothing was said yet."""
    comment = printable(job["comment"])
    match job.state:
        case "M":
            return "moved to another PBS server, where it is not seen from here"
        case "T":
            return "being moved to another queue or server"
        case "W":
            at = printable(job["execution_time"])
            return f"not to start before {at} (UTC)" if at else "not to start before a set time"
        case "H":
            return _held(job, comment)
    return _waiting(comment)


def _held(job: Listed, comment: str) -> str:
    kinds = job["hold_types"]
    if "s" in kinds and job["depend"]:
        return "waiting for another job it depends on"
    if re.search(r"too many failed attempts", comment):
        return "held: it could not be started too often; its administrators can let it go"
    return next((words for kind, words in _HOLDS.items() if kind in kinds), "held")


def _waiting(comment: str) -> str:
    prefix = _PREFIX.match(comment)
    said = comment[prefix.end() :] if prefix is not None else comment
    if said.startswith(("Job run at", "Job was sent")):
        # What is left from its last run.
        return ""
    never = prefix is not None and prefix[1].lower() == "can never run"
    words = _lacking(said, never=never) or _known(said)
    if never:
        return f"it can never start: {words or said}"
    return words or said


def _lacking(said: str, *, never: bool) -> str:
    found = _SHORT.search(said)
    if found is None:
        return ""
    what = _RESOURCES.get(found[1], found[1])
    if not found[2]:
        return f"it asks for more {what} than there are" if never else f"waiting for {what}"
    wanted, free, total = found[2], found[3], found[4]
    if never:
        return f"it asks for {wanted} {what} where there are {total}"
    return f"waiting for {what}: it asks for {wanted}, {free} of {total} are free"


def _known(said: str) -> str:
    words = next((words for pattern, words in _KNOWN if re.search(pattern, said)), "")
    if words or "limit" not in said:
        return words
    whose = next((whose for pattern, whose in _WHOSE if pattern.search(said)), "a")
    return f"{whose} limit is reached ({said})"

"""Reading what ``qstat -f`` prints, in the text of OpenPBS, PBS Professional and Torque.

Nothing here decides what an answer means; it raises Unreadable for one that does not prove to be whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sessiond.core.errors import Unreadable
from sessiond.schedulers import common
from sessiond.schedulers.batch.reply import Answer
from sessiond.schedulers.pbs.words import hint_for, in_words

_HEAD = re.compile(r"Job Id:[ \t]*(\S+)\s*", re.ASCII)
_ATTRIBUTE = re.compile(r"(?P<indent>    |\t)(?P<name>[A-Za-z][A-Za-z0-9_.-]*) = ?(?P<value>.*)", re.ASCII | re.DOTALL)
_CLOCK = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,6}):([0-9]{1,2})|([0-9]{1,9})", re.ASCII)
_NODE = re.compile(r"\(?([A-Za-z0-9][A-Za-z0-9._-]{0,252})")

_VARIABLES = "variable_list"

UNKNOWN_STATUS = 153
"""The exit status where an id is not known (15001 modulo 256, recorded)."""
FINISHED_STATUS = 35
"""The exit status where an id is of a job that is over, and its history was not asked for (15139, recorded)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One job as ``qstat -f`` prints it. ``attributes`` are by name in small letters, as text."""

    id: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """An attribute's text; empty where the job has none."""
        return self.attributes.get(name, "")

    def number(self, name: str) -> int | None:
        """An attribute that is a whole number, negative ones too."""
        text = self[name].strip()
        return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text, re.ASCII) else None

    @property
    def state(self) -> str:
        """The letter of its state."""
        return self["job_state"].strip()[:1]

    @property
    def runs(self) -> int | None:
        """How often it was run until now; OpenPBS counts in run_count, Torque in start_count."""
        found = self.number("run_count")
        return found if found is not None else self.number("start_count")

    @property
    def exit_status(self) -> int | None:
        """How it ended, by PBS's count."""
        return self.number("exit_status")

    @property
    def node(self) -> str:
        """The first node it runs on; empty where none is known. ``n1/0*4+n2/1``, ``n1/2,7+n2/0-1``."""
        found = _NODE.match(self["exec_host"]) or _NODE.match(self["exec_vnode"])
        return found[1] if found is not None else ""

    def variable(self, name: str) -> str:
        """A variable of the job's, as far as its list shows it: a value is read up to a comma or a line's end."""
        for pair in self["variable_list"].split(","):
            if pair.startswith(f"{name}="):
                return pair.removeprefix(f"{name}=").partition("\n")[0]
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What was learnt of the jobs asked about: those that are there, those that the server says it does not have."""

    jobs: Mapping[str, Listed]
    absent: frozenset[str]


def number_of(job: str) -> str:
    """A job's id without its server: ``1234`` of ``1234.pbs01``."""
    return job.partition(".")[0].partition("@")[0]


def same_job(one: str, other: str) -> bool:
    """Whether two ids are of one job: servers are named in full in one place and in short in another."""
    if one == other:
        return True
    first, second = one.partition(".")[2], other.partition(".")[2]
    servers = {first.partition(".")[0], second.partition(".")[0]} - {""}
    return number_of(one) == number_of(other) and len(servers) <= 1


def listing(answer: Answer, unknown: str, asked: Sequence[str]) -> Listing:
    """What a ``qstat`` about the ids ``asked`` says; ``unknown`` are those it said it does not have, a line each.

    Raises Unreadable where it does not answer: any exit status but those that speak of single jobs.
    """
    if answer.rc not in {0, UNKNOWN_STATUS, FINISHED_STATUS} or (answer.rc == 0 and "cannot connect" in answer.err):
        why = in_words(answer.err) or ("it took too long" if answer.rc in {124, 137} else f"exit status {answer.rc}")
        raise Unreadable(f"qstat does not answer: {why}", hint=hint_for(answer.err))
    printed = blocks(answer.out)
    if printed and "\n\n" not in answer.out.rpartition("Job Id:")[2]:
        # An empty line ends each job (qstat.c of OpenPBS and of Torque).
        raise Unreadable("qstat's answer is cut off")
    named = unknown.split()
    found: dict[str, Listed] = {}
    absent: set[str] = set()
    for wanted in asked:
        jobs = [one for one in printed if same_job(one.id, wanted)]
        if jobs:
            # Listed twice, one of them is a variable's value: nothing is learnt of it.
            if all(one == jobs[0] for one in jobs):
                found[wanted] = jobs[0]
        elif any(same_job(one, wanted) for one in named) or _silent(answer, printed, named, asked):
            absent.add(wanted)
    return Listing(jobs=found, absent=frozenset(absent))


def _silent(answer: Answer, printed: Sequence[Listed], named: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether the exit status alone says that the one job asked about is unknown (Debian's front end to Slurm)."""
    return answer.rc == UNKNOWN_STATUS and not answer.err.strip() and not printed and not named and len(asked) == 1


def blocks(text: str, head_form: re.Pattern[str] = _HEAD) -> list[Listed]:
    """The jobs (queues, servers: what ``head_form`` begins) in the text of ``qstat -f``. What stands before the first,
    a greeting, is skipped.

    A line is cut after 79 characters and goes on after a TAB, in the midst of a word too. A variable's value may hold
    line breaks, even lines that look like attributes (an exported function, what qstat said of another job): of one
    name the first counts, after the variables the last. A job begins after an empty line.
    """
    found: list[Listed] = []
    attributes: dict[str, str] = {}
    settled: set[str] = set()
    indent, name, before = "", "", ""
    for line in text.split("\n"):
        head = head_form.fullmatch(line) if not (found and before) else None
        before = line
        if head is not None:
            attributes, settled, indent, name = {}, set(), "", ""
            found.append(Listed(id=head[1], attributes=attributes))
            continue
        if not found:
            continue
        match = _ATTRIBUTE.fullmatch(line)
        if match is not None and indent in {"", match["indent"]}:
            indent, name = match["indent"], match["name"].lower()
            if name in settled:
                name = ""
                continue
            attributes[name] = match["value"]
            if _VARIABLES not in settled:
                settled.add(name)
        elif name and line.startswith("\t"):
            attributes[name] += line[1:]
        elif name == _VARIABLES:
            attributes[name] += f"\n{line}"
        else:
            name = ""
    return found


def seconds(text: str) -> int | None:
    """A length of time as PBS writes it, ``100:00:00`` or seconds alone; None for what is none."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, rest, alone = found.groups()
    return int(alone) if alone else int(hours or 0) * 3600 + int(minutes) * 60 + int(rest)


def moment(text: str) -> float | None:
    """A point in time as PBS writes it for a caller in UTC, ``Sun Nov 22 17:55:27 2026`` or UTC seconds; None for what
    is none."""
    text = " ".join(text.split())
    alone = common.seconds(text)
    if alone is not None:
        return alone or None
    try:
        return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def first_moment(job: Listed, names: Iterable[str]) -> float | None:
    """The first of these attributes that is a point in time."""
    return next((at for name in names if (at := moment(job[name])) is not None), None)

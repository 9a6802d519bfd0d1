"""What is asked of PBS for a session, as the `#PBS` lines of its job's scripts: one for OpenPBS and PBS Professional,
one for Torque, which differ in how nodes are asked for.

Of a person's own directives those are left out that say what ours say: qsub collects what is said twice, and may refuse
it. Ours are in the script, so that its whole request can be read there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sessiond.core.errors import SpecError, printable
from sessiond.core.session import Session
from sessiond.core.spec import Resources
from sessiond.render.directives import GPUS, MEMORY, NAME, count, duration, fit, own, script
from sessiond.render.quote import path

ID_VARIABLE = "SESSIOND_ID"
"""The job's variable that holds its session's id."""
OUTPUT = "pbs.out"
"""Where PBS puts what the job prints outside its session: at the end, and what was there before is gone."""

_ALONE = frozenset("fhInVXz")
"""Options of qsub without a value, those of Torque included (qsub(1) of OpenPBS 23.06 and of Torque 6)."""
_OURS = frozenset("NjoeSkR")
"""What a session says itself: its name, its log, its shell."""
_UNFIT = {
    "J": "a session is one job, not an array",
    "t": "a session is one job, not an array",
    "I": "qsub would wait for a terminal",
    "X": "qsub would wait for a terminal",
    "z": "qsub would not tell the job's id",
    "C": "the other directives would not be read",
}
_BLOCKS = re.compile(r"(?:^|,)\s*block\b", re.IGNORECASE)
_CHUNKS = re.compile(r"(?:^|,)(?:select|nodes)=", re.IGNORECASE)
_WALLTIME = re.compile(r"(?:^|,)walltime=[^,]*", re.IGNORECASE)
_VALUE = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[^\s"'])+)""")
_MEMORY = re.compile(r"([0-9]+)([KMGT]?)B?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of qsub as it stands in a directive; ``value`` is as written, quotes and all."""

    letter: str
    value: str = ""

    def __str__(self) -> str:
        return f"-{self.letter} {self.value}".rstrip()


def job_scripts(session: Session, command: Sequence[str]) -> dict[str, bytes]:
    """The job's scripts by name, which become ``command``; Torque's where it differs. Raises SpecError for what cannot
    be a directive."""
    usual, torque = (_script(session, command, torque=torque) for torque in (False, True))
    return {"job.sh": usual} | ({"job_torque.sh": torque} if torque != usual else {})


def queue_of(session: Session) -> str:
    """The queue the session's job is for, as far as it was said."""
    found = [one.value for one in _options(session.spec.resources.extra) if one.letter == "q"]
    return session.spec.resources.partition or (found[-1].strip("\"'") if found else "")


def _script(session: Session, command: Iterable[str], *, torque: bool) -> bytes:
    # PBS begins in the home folder, wherever qsub was called; where it was called is the second guess, for a home
    # folder that is another on the nodes.
    there = f'cd -- {path(session.spec.jobdir)} 2>/dev/null || cd -- "${{PBS_O_WORKDIR:-/nonexistent}}" || exit 66\n'
    return script("#PBS", directives(session, torque=torque), there, command, log="logs.out")


def directives(session: Session, *, torque: bool = False) -> Iterator[str]:
    """The directives without `#PBS`, in order. Raises SpecError for a value that cannot be one."""
    resources = session.spec.resources
    theirs = list(_theirs(resources))
    variables = [one.value for one in theirs if one.letter == "v"]
    yield from (str(one) for one in theirs if one.letter != "v")
    if resources.walltime_s is not None:
        yield f"-l walltime={duration(resources.walltime_s)}"
    if resources.qos:
        raise SpecError("PBS has no qos", hint="Leave it out; what stands for it there can be given as a directive.")
    if resources.partition:
        names = "The name of one; `sessionctl partitions CLUSTER` lists them."
        yield f"-q {fit('queue', resources.partition, NAME, names)}"
    if resources.account:
        yield f"-A {fit('account', resources.account, NAME, 'A name or number of an account or project.')}"
    if not any(one.letter == "l" and _CHUNKS.search(one.value.strip("\"'")) for one in theirs):
        yield from _torque_chunks(resources) if torque else _chunks(resources)
    yield f"-N {session.tag}"
    # Of several -v only the last counts.
    yield "-v " + ",".join([*variables, f"{ID_VARIABLE}={session.id}"])
    # Relative to the folder that qsub is called in. What the session prints goes into its log at once: PBS delivers a
    # job's output at its end.
    yield f"-j oe -o {OUTPUT}"
    # Not the person's login shell, which may read no POSIX script (measured: PBS begins jobs with it).
    yield "-S /bin/bash"


def _theirs(resources: Resources) -> Iterator[Option]:
    """A person's own options, without what ours say."""
    for one in _options(resources.extra):
        if (
            one.letter in _OURS
            or (one.letter == "q" and resources.partition)
            or (one.letter == "A" and resources.account)
        ):
            continue
        if one.letter == "l" and resources.walltime_s is not None:
            quote, inside = _unquoted(one.value)
            rest = _WALLTIME.sub("", inside).strip(",")
            if rest:
                yield Option("l", f"{quote}{rest}{quote}")
            continue
        yield one


def _unquoted(value: str) -> tuple[str, str]:
    """The quote that a whole value is in, or nothing, and what is in it."""
    quote = value[:1]
    whole = len(value) > 1 and quote in {'"', "'"} and value.find(quote, 1) == len(value) - 1
    return (quote, value[1:-1]) if whole else ("", value)


def _options(extra: Iterable[str]) -> Iterator[Option]:
    for text in extra:
        yield from _split(own(text, "#PBS", "qsub", "-l place=excl", _unfit))


def _split(line: str) -> list[Option]:
    """The options of a directive's line as qsub reads them: a value may be joined to its letter, and a letter without a
    value to the next. What is no option at all comes out as one without a letter."""
    found: list[Option] = []
    rest = line.strip()
    while rest:
        if not rest.startswith("-") or not re.match("[A-Za-z]", rest[1:2]):
            return [*found, Option("", rest)]
        letter, rest = rest[1], rest[2:]
        value = ""
        if letter not in _ALONE:
            match = _VALUE.match(rest)
            value, rest = (match[1], rest[match.end() :]) if match is not None else ("", rest)
        elif rest and not rest[0].isspace():
            rest = f"-{rest}"
        rest = rest.lstrip()
        found.append(Option(letter, value))
    return found


def _unfit(line: str) -> str | None:
    for one in _split(line):
        if not one.letter:
            return f"{printable(one.value)!r} is no option of qsub"
        if one.letter in _UNFIT:
            return _UNFIT[one.letter]
        if one.letter not in _ALONE and not one.value:
            return f"-{one.letter} needs a value"
        if one.value and _words(one.value) != 1:
            return f"it is not plain where the value of -{one.letter} ends"
        if one.letter == "W" and _BLOCKS.search(one.value.strip("\"'")):
            return "qsub would not answer before the session's end"
    return None


def _words(value: str) -> int:
    """How many words a value is with its quotes and backslashes; 0 where they do not match."""
    try:
        return len(shlex.split(value))
    except ValueError:
        return 0


def _chunks(resources: Resources) -> Iterator[str]:
    """OpenPBS and PBS Professional ask for chunks; one is what a node gives."""
    nodes, tasks, cpus = _counts(resources)
    parts = [f"ncpus={cpus}"] if cpus else []
    parts += [f"mpiprocs={tasks}"] if tasks else []
    memory = _memory(resources, nodes=1)
    parts += [f"mem={memory}"] if memory else []
    gpus = _gpus(resources)
    parts += [f"ngpus={gpus}"] if gpus else []
    if parts or resources.nodes is not None:
        yield "-l select=" + ":".join([str(nodes), *parts])
    if nodes > 1 and not any(one.letter == "l" and "place=" in one.value for one in _options(resources.extra)):
        yield "-l place=scatter"


def _torque_chunks(resources: Resources) -> Iterator[str]:
    """Torque asks for nodes and processors on each, and for the memory of all of them together."""
    nodes, _, cpus = _counts(resources)
    gpus = _gpus(resources)
    if cpus or gpus or resources.nodes is not None:
        yield f"-l nodes={nodes}:ppn={cpus or 1}" + (f":gpus={gpus}" if gpus else "")
    memory = _memory(resources, nodes=nodes)
    if memory:
        yield f"-l mem={memory}"


def _counts(resources: Resources) -> tuple[int, int | None, int | None]:
    """Nodes, and on each of them tasks and processors; None where nothing was asked."""
    nodes = count("nodes", resources.nodes) if resources.nodes is not None else 1
    tasks = -(-count("tasks", resources.tasks) // nodes) if resources.tasks is not None else None
    cpus = count("cpus", resources.cpus) if resources.cpus is not None else None
    return nodes, tasks, (tasks or 1) * (cpus or 1) if tasks or cpus else None


def _memory(resources: Resources, *, nodes: int) -> str:
    """Memory in PBS's units; a bare number is megabytes, as it is everywhere in sessiond."""
    if not resources.memory:
        return ""
    hint = "A number and a unit, a node: 16G or 500M."
    found = _MEMORY.fullmatch(fit("memory", resources.memory, MEMORY, hint))
    if found is None or int(found[1]) == 0:
        raise SpecError(f"{resources.memory!r} cannot be the memory of a job of PBS", hint=hint)
    return f"{int(found[1]) * nodes}{(found[2] or 'm').lower()}b"


def _gpus(resources: Resources) -> str:
    if not resources.gpus:
        return ""
    kind, colon, number = fit("gpus", resources.gpus, GPUS, "A count a node: 1 or 2.").rpartition(":")
    if colon:
        hint = f"Give the number alone, and what stands for {kind} there as a directive."
        raise SpecError(f"PBS has no common word for GPUs of type {kind}", hint=hint)
    return number

"""What is asked of Slurm for a session, as the `#SBATCH` lines of its job script.

A person's own directives come first and ours after them: of two directives that say the same, sbatch heeds the later
one (measured, Slurm 22.05), so a job always bears its session's mark and writes its session's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sessiond.core.errors import SpecError, printable
from sessiond.core.session import Session
from sessiond.core.spec import Resources
from sessiond.render.quote import word

LEAD_S = 60
"""How long before the walltime's end a session is told, if the walltime is long enough."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,@:+-]{0,254}")
MEMORY = re.compile(r"[1-9][0-9]{0,14}[KMGT]?B?|0", re.IGNORECASE)
GPUS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}:)?[1-9][0-9]{0,4}")
_UNFIT = {
    "-a": "a session is one job, not an array",
    "--array": "a session is one job, not an array",
    "-M": "another cluster of the federation is a cluster of its own in config.toml",
    "--clusters": "another cluster of the federation is a cluster of its own in config.toml",
    "-W": "sbatch would not answer before the session's end",
    "--wait": "sbatch would not answer before the session's end",
    "--test-only": "nothing would be submitted: use `sessionctl plan`",
    "--wrap": "the session has a script",
    "-h": "nothing would be submitted",
    "--help": "nothing would be submitted",
    "--usage": "nothing would be submitted",
    "-V": "nothing would be submitted",
    "--version": "nothing would be submitted",
}
"""Directives that a session's job cannot have, and why."""


def lead_s(resources: Resources) -> int:
    """How many seconds before the walltime's end the session is told: a minute, of a short walltime a quarter."""
    return LEAD_S if resources.walltime_s is None else max(1, min(LEAD_S, resources.walltime_s // 4))


def job_script(session: Session, command: Iterable[str]) -> bytes:
    """The job's whole script: its directives, then ``command`` in the session's folder, in the place of the shell.

    Raises SpecError for a resource that cannot be a directive.
    """
    lines = "".join(f"#SBATCH {line}\n" for line in directives(session))
    run = " ".join(word(part) for part in command)
    return f"#!/bin/bash\n{lines}{_SHARED}exec {run}\n".encode()


_SHARED = (
    "# Where the folder of submission is missing, Slurm begins in /tmp.\n"
    '[ -r ./session.sh ] || { echo "sessiond: the session\'s folder is not there on $(hostname)." >&2; exit 66; }\n'
)


def directives(session: Session) -> Iterator[str]:
    """The directives without `#SBATCH`, in order. Raises SpecError for a value that cannot be one."""
    resources = session.spec.resources
    yield from (_own(text) for text in resources.extra)
    if resources.walltime_s is not None:
        yield f"--time={_duration(resources.walltime_s)}"
    for name, value in (
        ("partition", resources.partition),
        ("account", resources.account),
        ("qos", resources.qos),
    ):
        if value:
            yield f"--{name}={_fit(name, value, NAME)}"
    for name, option, count in (
        ("nodes", "nodes", resources.nodes),
        ("tasks", "ntasks", resources.tasks),
        ("cpus", "cpus-per-task", resources.cpus),
    ):
        if count is not None:
            yield f"--{option}={_count(name, count)}"
    if resources.memory:
        yield f"--mem={_fit('memory', resources.memory, MEMORY).upper().removesuffix('B')}"
    if resources.gpus:
        # --gpus is from 2019; gres works everywhere, and a session's first node is where its service runs.
        yield f"--gres=gpu:{_fit('gpus', resources.gpus, GPUS)}"
    yield f"--job-name={session.tag}"
    yield f"--comment={session.id}"
    # Relative to the folder that sbatch is called in and told: a path of its own could hold blanks and percent signs.
    yield "--output=logs.out"
    yield "--open-mode=append"
    yield f"--signal=B:USR2@{lead_s(resources)}"


def _duration(seconds: int) -> str:
    if seconds <= 0:
        raise SpecError("the walltime must be longer than nothing", hint="for example 2h or 30m")
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _count(name: str, count: int) -> int:
    if not 1 <= count <= 10_000_000:
        raise SpecError(f"{name} must be a number from 1 on, not {count}")
    return count


def _fit(name: str, value: str, form: re.Pattern[str]) -> str:
    if not form.fullmatch(value):
        raise SpecError(f"{printable(value)!r} cannot be the {name} of a job", hint=_FORMS[name])
    return value


_FORMS = {
    "partition": "The name of one or, with commas, of several; `sinfo` lists them.",
    "account": "A name; `sacctmgr show associations user=$USER` lists yours.",
    "qos": "A name; `sacctmgr show qos` lists them.",
    "memory": "A number and a unit, a node: 16G or 500M.",
    "gpus": "A count a node, or type:count: 1 or a100:2.",
}


def _own(text: str) -> str:
    """A person's own directive, as they wrote it but for the blanks around it and a leading #SBATCH."""
    if _CONTROL.search(text):
        raise SpecError(
            f"the directive {printable(text)!r} contains a line break or another control character",
            hint="Give each directive by itself.",
        )
    line = text.strip().removeprefix("#SBATCH").strip()
    if not line.startswith("-") or " #" in line:
        raise SpecError(
            f"{printable(text)!r} is no directive of sbatch", hint="One begins with a dash, like --constraint=a100."
        )
    for part in line.split():
        option = part.partition("=")[0]
        why = _UNFIT.get(option) or (_UNFIT.get(option[:2]) if not option.startswith("--") else None)
        if why is not None:
            raise SpecError(f"the directive {printable(line)!r} cannot be used: {why}", hint="Leave it out.")
    return line

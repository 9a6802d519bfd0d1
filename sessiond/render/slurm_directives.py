"""What is asked of Slurm for a session, as the `#SBATCH` lines of its job script.

A person's own directives come first and ours after them: of two directives that say the same, sbatch heeds the later
one (measured, Slurm 22.05), so a job always bears its session's mark and writes its session's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sessiond.core.session import Session
from sessiond.render.directives import GPUS, MEMORY, NAME, count, duration, fit, lead_s, own, script

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


def job_script(session: Session, command: Iterable[str]) -> bytes:
    """The job's whole script, which becomes ``command``. Raises SpecError for a resource that cannot be a directive."""
    return script("#SBATCH", directives(session), _FOLDER, command)


_FOLDER = "# Where the folder of submission is missing, Slurm begins in /tmp.\n"


def directives(session: Session) -> Iterator[str]:
    """The directives without `#SBATCH`, in order. Raises SpecError for a value that cannot be one."""
    resources = session.spec.resources
    yield from (own(text, "#SBATCH", "sbatch", "--constraint=a100", _unfit) for text in resources.extra)
    if resources.walltime_s is not None:
        yield f"--time={duration(resources.walltime_s)}"
    for name, value in (
        ("partition", resources.partition),
        ("account", resources.account),
        ("qos", resources.qos),
    ):
        if value:
            yield f"--{name}={_fit(name, value, NAME)}"
    for name, option, number in (
        ("nodes", "nodes", resources.nodes),
        ("tasks", "ntasks", resources.tasks),
        ("cpus", "cpus-per-task", resources.cpus),
    ):
        if number is not None:
            yield f"--{option}={count(name, number)}"
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


_FORMS = {
    "partition": "The name of one or, with commas, of several; `sessionctl partitions CLUSTER` lists them.",
    "account": "A name; `sacctmgr show associations user=$USER` lists yours.",
    "qos": "A name; `sacctmgr show qos` lists them.",
    "memory": "A number and a unit, a node: 16G or 500M.",
    "gpus": "A count a node, or type:count: 1 or a100:2.",
}


def _fit(name: str, value: str, form: re.Pattern[str]) -> str:
    return fit(name, value, form, _FORMS[name])


def _unfit(line: str) -> str | None:
    for part in line.split():
        option = part.partition("=")[0]
        why = _UNFIT.get(option) or (_UNFIT.get(option[:2]) if not option.startswith("--") else None)
        if why is not None:
            return why
    return None

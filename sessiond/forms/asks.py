"""What the parameters of a form ask of the scheduler, in the words that a cluster's defaults have for it."""

from __future__ import annotations

from typing import Final

from sessiond.forms.flatten import directive

SLURM: Final = {
    "--partition": "partition",
    "-p": "partition",
    "--account": "account",
    "-A": "account",
    "--qos": "qos",
    "--nodes": "nodes",
    "-N": "nodes",
    "--ntasks": "tasks",
    "-n": "tasks",
    "--cpus-per-task": "cpus",
    "-c": "cpus",
    "--mem": "memory",
    "--gres": "gpus",
    "--gpus": "gpus",
    "--time": "time",
    "-t": "time",
}
"""By Slurm's options."""
PBS: Final = {"-q": "partition", "-A": "account"}
"""By those of PBS."""

_WALLTIME: Final = "-l walltime"


def usual_name(variable: str) -> str:
    """What a parameter asks for where that is one thing with a default; empty for any other."""
    option = _option(variable)
    return SLURM.get(option) or PBS.get(option, "")


def asks(variable: str) -> str:
    """What a parameter asks for: as `usual_name`, and PBS's walltime, which is one of its resources."""
    return "time" if _option(variable) == _WALLTIME else usual_name(variable)


def _option(variable: str) -> str:
    return directive(variable).replace("=", " ").strip()

"""The variables a service's scripts see, and the two files that carry them to the execution host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from posixpath import dirname

from sessiond.core.errors import SpecError
from sessiond.core.session import Session
from sessiond.core.spec import Mode
from sessiond.render.quote import double, path, word

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Names that steer the shell, the dynamic linker or the scheduler: as a value they would break the script around the
# template, or be read-only there.
_OF_THE_SHELL = re.compile(
    r"_|PATH|IFS|ENV|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|CDPATH|SHELLOPTS|POSIXLY_CORRECT|GLOBIGNORE|EXECIGNORE"
    r"|PS[0-4]|PROMPT_COMMAND|UID|EUID|PPID|GROUPS|SECONDS|RANDOM|SRANDOM|LINENO|FUNCNAME|FUNCNEST|DIRSTACK"
    r"|EPOCH(SECONDS|REALTIME)|OPT(ARG|IND|ERR)|REPLY|PIPESTATUS|TIMEFORMAT|HIST[A-Z]*|COMP_[A-Z]*"
    r"|BASH[A-Za-z0-9_]*|LD_[A-Za-z0-9_]*|GLIBC_[A-Z_]*|SESSIOND_[A-Za-z0-9_]*|SLURM_[A-Za-z0-9_]*|PBS_[A-Za-z0-9_]*"
)

# Names that sessiond gives a value itself.
_OF_THE_SESSION = re.compile(
    r"openPort|job_number|job_name|workflow_name|pw_job_dir|PW_JOB_PATH|USER_CONTAINER_HOST|sshcmd|sshusercontainer"
    r"|service_name|service_token|jobschedulertype|nports|resource_[A-Za-z0-9_]*|sessiond_[A-Za-z0-9_]*"
    r"|(submit|cancel|status)_cmd"
)


def check_name(name: str) -> None:
    """Raise SpecError unless a person may give ``name`` a value.

    ``servicePort`` may be given: a service that only works on one port needs it.
    """
    _check_shell(name)
    if _OF_THE_SESSION.fullmatch(name):
        raise SpecError(f"{name} is set by sessiond itself", hint="choose another name")


def is_reserved(name: str) -> bool:
    """Whether no form may have a variable of this name: it steers the shell, the system or sessiond."""
    return _OF_THE_SHELL.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """Whether sessiond gives this variable its value, whatever a form says."""
    return _OF_THE_SESSION.fullmatch(name) is not None


def variables(session: Session) -> dict[str, str]:
    """Everything a service's scripts see of a session but its secrets: the form's values, then our own, which win."""
    spec = session.spec
    number = job_number(session.number)
    workflow = spec.workflow.rpartition("/")[2]
    scheduled = spec.mode in _COMMANDS
    own = {
        "resource_id": spec.cluster,
        "resource_name": spec.cluster,
        "resource_status": "on",
        "resource_namespace": spec.user,
        "resource_type": resource_type(spec.mode),
        "resource_workdir": dirname(dirname(spec.jobdir)),  # jobdir is <workdir>/sessiond/<session id>
        "resource_jobdir": spec.jobdir,
        "resource_publicIp": f"{spec.user}@{spec.host or 'localhost'}",
        "resource_privateIp": spec.host if scheduled and spec.host else "127.0.0.1",
        "resource_username": spec.user,
        "resource_ports": str(session.open_port),
        # There is no tunnel back to the workspace: what is asked of it is done here (lib/here.sh).
        "resource_ssh_usercontainer_options": "",
        "resource_ssh_usercontainer_port": "22",
        "resource_ssh_config_path": "~/.ssh/config",
        "nports": "1",
        "jobschedulertype": _SCHEDULER[spec.mode],
        **_COMMANDS.get(spec.mode, {}),
        "job_number": number,
        "workflow_name": workflow,
        "job_name": f"{workflow}-{number}",
        "pw_job_dir": spec.jobdir,
        "PW_JOB_PATH": spec.jobdir,
        "USER_CONTAINER_HOST": "usercontainer",
        "openPort": str(session.open_port),
        # ssh joins its words and gives them to a shell; on the machine itself that is what eval does.
        "sshcmd": "eval",
        "service_name": spec.service.name,
        "sessiond_base": f"/{spec.service.scheme.root}/{session.open_port}",
        **({} if spec.licence is None else {spec.licence.variable: spec.licence.value}),
    }
    # What an author wrote may name what stands before it.
    last = {name: text for name, text in spec.params.items() if name in spec.authored and name not in own}
    return {**{name: text for name, text in spec.params.items() if name not in last}, **own, **last}


def resource_type(mode: Mode) -> str:
    """What existing forms and templates call the kind of a resource: one with a batch scheduler of its own, or any."""
    return "slurmshv2" if mode in _COMMANDS else "existing"


def job_number(number: int) -> str:
    """A session's number as scripts see it."""
    return f"{number:05d}"


def inputs_sh(session: Session) -> bytes:
    """The file that exports `variables`. Raises SpecError for a name or value no shell variable can have."""
    return _exports(variables(session), paths=_PATHS, authored=frozenset(session.spec.authored) - _PATHS)


def secrets_sh(session: Session) -> bytes:
    """The file that exports the session's secrets; it must be readable by its owner only. Raises like `inputs_sh`."""
    return _exports(session.spec.secrets, authored=frozenset(session.spec.authored))


# Services write their kill scripts for a compute node reached by ssh wherever this is neither CONTROLLER nor unset,
# so a session on the machine itself says CONTROLLER too.
_SCHEDULER = {Mode.LOCAL: "CONTROLLER", Mode.CONTROLLER: "CONTROLLER", Mode.SLURM: "SLURM", Mode.PBS: "PBS"}


_COMMANDS = {
    Mode.SLURM: {"submit_cmd": "sbatch", "cancel_cmd": "scancel", "status_cmd": "squeue"},
    Mode.PBS: {"submit_cmd": "qsub", "cancel_cmd": "qdel", "status_cmd": "qstat"},
}
"""A scheduler's commands, under the names that templates know; without a scheduler there are none."""


_PATHS = frozenset({"resource_workdir", "resource_jobdir", "pw_job_dir", "PW_JOB_PATH", "resource_ssh_config_path"})
"""Ours, and paths on the execution host: they may begin with its home folder."""


def _exports(
    values: Mapping[str, str], *, paths: frozenset[str] = frozenset(), authored: frozenset[str] = frozenset()
) -> bytes:
    for name in values:
        _check_shell(name)
    words = {name: double if name in authored else path if name in paths else word for name in values}
    return "".join(f"export {name}={words[name](value)}\n" for name, value in values.items()).encode()


def _check_shell(name: str) -> None:
    if not _IDENTIFIER.fullmatch(name):
        raise SpecError(
            f"{name!r} cannot be the name of a variable", hint="use letters, digits and _, not beginning with a digit"
        )
    if _OF_THE_SHELL.fullmatch(name):
        raise SpecError(f"{name} is reserved: it steers the shell, the system or sessiond", hint="choose another name")

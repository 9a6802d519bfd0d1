"""What the first forms of the family had otherwise, made as it is now.

The section about the resource was ``host`` before it was ``pwrl_host``, and the service's could be ``service_sec``.
Sections had no say in the names of variables, so ``service_bin`` could stand in the section ``service``.
For some months names began with ``_pw_``: `untagged` takes that away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sessiond.forms.model import LABEL, SCHEDULER, Condition, Kind, Param, ResourceIs

_HOST = "host"
_NOW = {_HOST: "pwrl_host", "service_sec": "service"}
_ITS_OWN = frozenset({SCHEDULER, "partition_or_controller"})
"""What is asked for in the section about the resource, and nowhere else."""


def host_line(params: Sequence[Param]) -> int | None:
    """Where the section ``host`` of an old form begins; None in a form of today."""
    sections = {param.path[0] for param in params if len(param.path) > 1}
    if any(section.startswith(LABEL) for section in sections):
        return None
    ours = [param for param in params if param.path[0] == _HOST and len(param.path) > 1]
    is_old = any(param.kind is Kind.RESOURCE or param.path[-1] in _ITS_OWN for param in ours)
    return ours[0].line if is_old else None


def renewed(params: Sequence[Param]) -> list[Param]:
    """The parameters of an old form as they are called now; people may use the names in the file, too."""
    now = {param.dotted: _path(param.path) for param in params}
    dotted = {before: ".".join(path) for before, path in now.items()}
    return [_renewed(param, now[param.dotted], dotted) for param in params]


def _path(path: tuple[str, ...]) -> tuple[str, ...]:
    section = _NOW.get(path[0], path[0])
    if len(path) == 1:
        return path
    return (section, *path[1:-1], path[-1].removeprefix(f"{section}_") or path[-1])


def _renewed(param: Param, path: tuple[str, ...], now: Mapping[str, str]) -> Param:
    choices = param.choices

    def fresh(condition: Condition) -> Condition:
        if isinstance(condition, ResourceIs):
            return condition
        return replace(condition, ref=now.get(condition.ref, condition.ref))

    return replace(
        param,
        path=path,
        when=tuple(map(fresh, param.when)),
        options=tuple(replace(one, when=tuple(map(fresh, one.when))) for one in param.options),
        choices=choices if choices is None else replace(choices, ref=now.get(choices.ref, choices.ref)),
    )

"""From a form's values to the flat variables that templates see, and to the scheduler's directives.

The rules are those of the family of forms that is read here: ``section_param``; a resource's section has no say in the
names; what is in other sections comes after it; placeholders are filled in; and what begins with ``_sch_`` is a
directive too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sessiond.forms.fill import Value, Written
from sessiond.forms.model import LABEL, SERVICE, Form, Kind
from sessiond.render.quote import inside_double, means_itself

_PLACE = re.compile(
    r"__(user|USER|pw_user|PW_USER|workdir|WORKDIR|poolworkdir|POOLWORKDIR|home|HOME|job_number|JOB_NUMBER)__"
)
_DIRECTIVES = "scheduler_directives"
_SCH = "_sch_"
_SPELLED = ((_SCH, ""), ("_d_", "-"), ("_dd_", "--"), ("_e_", "="), ("___", " "))
"""What stands for what in the name of a directive's parameter, in the order in which it is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What the placeholders stand for: the account there and in the workspace, the folder of sessions, the number.

    ``workdir`` may begin with ``~``, the home there.
    """

    user: str
    workspace_user: str
    workdir: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """A filled form as variables. Of those in ``authored`` the values are shell text between double quotes."""

    params: Mapping[str, str]
    secrets: Mapping[str, str]
    authored: tuple[str, ...]
    directives: tuple[str, ...]
    service: str


def flatten(form: Form, values: Sequence[Value], where: Where, scheduler: str = "") -> Flat:
    """The variables of ``values``; ``scheduler`` is ``slurm``, ``pbs``, or empty where nobody reads directives."""
    merged = _merged(form, values)
    texts = {name: _plain(value, where) for name, value in merged.items()}
    words = {name: _word(value, where) for name, value in merged.items()}
    secret = {name for name, value in merged.items() if value.param.secret}
    return Flat(
        params={name: text for name, (text, _) in words.items() if name not in secret},
        secrets={name: text for name, (text, _) in words.items() if name in secret},
        authored=tuple(name for name, (_, authored) in words.items() if authored),
        directives=_directives(texts, scheduler) if scheduler else (),
        service=_service(merged, texts),
    )


def directive(variable: str) -> str:
    """What a parameter's variable is at the beginning of a directive's line: ``--partition=``; empty if it is none."""
    if not variable.startswith(_SCH):
        return ""
    for spelled, meant in _SPELLED:
        variable = variable.replace(spelled, meant)
    return variable


def _merged(form: Form, values: Sequence[Value]) -> dict[str, Value]:
    """Variable to value: those of the resource's section first. Of two the later one counts, unless only the earlier
    was given by a person."""
    ours = [value for value in values if value.param.kind is not Kind.RESOURCE]
    label = form.label
    sections = [
        [value for value in ours if _section(value) == label],
        [value for value in ours if not _section(value).startswith(LABEL)],
    ]
    merged: dict[str, Value] = {}
    for value in (value for section in sections for value in section):
        earlier = merged.get(value.param.variable)
        if earlier is None or value.given or not earlier.given:
            merged[value.param.variable] = value
        if earlier is not None and earlier.param.secret:
            kept = merged[value.param.variable]
            merged[value.param.variable] = replace(kept, param=replace(kept.param, secret=True))
    return merged


def _section(value: Value) -> str:
    return value.param.path[0] if len(value.param.path) > 1 else ""


def _plain(value: Value, where: Where) -> str:
    """The value as text that no shell reads."""
    meant = _meanings(where)
    return _PLACE.sub(lambda found: meant[found[1].lower()], value.text)


def _word(value: Value, where: Where) -> tuple[str, bool]:
    """The value as a variable's text, and whether that is shell text between double quotes."""
    text = value.text
    if value.param.kind is Kind.TEXTAREA or value.written is Written.AUTHOR:
        # Templates turn it back with printf '%b'.
        text = text.replace("\n", "\\n")
    meant = _meanings(where)
    shell = value.written is Written.AUTHOR and not means_itself(text)
    at_home = any(meant[found[1].lower()].startswith("~") for found in _PLACE.finditer(text))
    if not shell and not at_home:
        return _PLACE.sub(lambda found: meant[found[1].lower()], text), False
    pieces, at = [], 0
    for found in _PLACE.finditer(text):
        pieces += [_shell(text[at : found.start()], shell), _at_home(meant[found[1].lower()])]
        at = found.end()
    return "".join([*pieces, _shell(text[at:], shell)]), True


def _shell(text: str, shell: bool) -> str:
    return text if shell else inside_double(text)


def _at_home(path: str) -> str:
    """A placeholder's meaning between double quotes; ``~`` is the home there."""
    at_home = path == "~" or path.startswith("~/")
    return f"$HOME{inside_double(path[1:])}" if at_home else inside_double(path)


def _meanings(where: Where) -> Mapping[str, str]:
    workdir = where.workdir.rstrip("/") or where.workdir
    return {
        "user": where.user,
        "pw_user": where.workspace_user,
        "workdir": workdir,
        # The oldest forms' word for it.
        "poolworkdir": workdir,
        "home": "~",
        "job_number": where.number,
    }


def _directives(texts: Mapping[str, str], scheduler: str) -> tuple[str, ...]:
    free = texts.get(_DIRECTIVES)
    if free is None:
        free = texts.get(f"{_DIRECTIVES}_{scheduler}", "")
    found = [part.strip() for part in free.split(";")]
    found += [f"{directive(name)}{text}" for name, text in texts.items() if name.startswith(_SCH) and text]
    # A form that is not conditional has Slurm's directives for PBS too; qsub has no long options.
    return tuple(line for line in found if line and not (scheduler == "pbs" and line.startswith("--")))


def _service(merged: Mapping[str, Value], texts: Mapping[str, str]) -> str:
    """What a person chose before what a form has, and ``service_name`` before names that only end in it."""
    named = [name for name, text in texts.items() if SERVICE in name and text.strip()]
    first = min(named, key=lambda name: (not merged[name].given, name != SERVICE), default="")
    return texts[first].strip() if first else ""

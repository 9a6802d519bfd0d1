"""The parameters a service declares in its service.toml, and the values a person gave for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sessiond.config.reader import nearest, shown
from sessiond.config.values import is_identifier
from sessiond.core.errors import SpecError
from sessiond.forms.model import is_secret

VALUE_LIMIT = 64 * 1024
"""The longest value in characters: Linux refuses one environment string of more than 128 KiB (execve(2))."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_BOOLEANS = {"true": "true", "yes": "true", "on": "true", "1": "true"} | dict.fromkeys(
    ("false", "no", "off", "0"), "false"
)


class ParamType(StrEnum):
    """What a value must look like; templates always see text (booleans as ``true`` and ``false``)."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter; ``name`` is the variable templates see, ``min`` and ``max`` are for integers."""

    name: str
    label: str = ""
    help: str = ""
    default: str = ""
    options: tuple[str, ...] = ()
    secret: bool = False
    required: bool = False
    type: ParamType = ParamType.TEXT
    min: int | None = None
    max: int | None = None

    def check(self, value: str) -> tuple[str, str]:
        """``value`` in its normal form and an empty text, or ``value`` and what was expected instead."""
        if "\0" in value:
            return value, "a text without NUL characters"
        if len(value) > VALUE_LIMIT:
            return value, f"at most {VALUE_LIMIT} characters"
        if self.options:
            return value, "" if value in self.options else f"one of {', '.join(map(shown, self.options))}"
        match self.type:
            case ParamType.INTEGER:
                return self._integer(value)
            case ParamType.BOOLEAN:
                normal = _BOOLEANS.get(value.lower(), "")
                return normal or value, "" if normal else "true or false"
            case ParamType.TEXT:
                return value, ""

    def _integer(self, value: str) -> tuple[str, str]:
        number = int(value) if _INTEGER.fullmatch(value) else None
        if (
            number is None
            or (self.min is not None and number < self.min)
            or (self.max is not None and number > self.max)
        ):
            lower = f" from {self.min}" if self.min is not None else ""
            upper = f" up to {self.max}" if self.max is not None else ""
            return value, f"an integer{lower}{upper}"
        return str(number), ""


def resolve(
    service: str, declared: Mapping[str, Param] | None, given: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The variables a template sees, and apart from them the secret ones.

    ``declared`` None: the service has no list of parameters and takes any name a shell can hold (a secret is then known
    by its name alone: password, passphrase, token, secret, api_key). Dots in given names become underscores. What was
    not given has its default; an empty text for an integer means that it was not given.

    Raises SpecError with every problem, a line each.
    """
    problems: list[str] = []
    unknown = False
    values: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in given.items():
        flat = name.replace(".", "_")
        if flat in spelled:
            problems.append(f"{flat} is given twice, as {spelled[flat]} and as {name}")
        elif not is_identifier(flat):
            problems.append(f"{shown(name)} cannot be the name of a variable: use letters, digits and underscores")
        elif declared is not None and flat not in declared:
            near = nearest(flat, tuple(declared))
            problems.append(f"{service} has no parameter {flat}" + (f", did you mean {near}?" if near else ""))
            unknown = True
        else:
            values[flat] = value
        spelled.setdefault(flat, name)
    every = declared if declared is not None else {name: _undeclared(name) for name in values}
    resolved = {name: _value(param, values, problems) for name, param in every.items()}
    if problems:
        known = ", ".join(declared or ()) or "none"
        more = f"Parameters of {service}: {known}." if unknown else f"`sessionctl services {service}` shows them."
        raise SpecError("\n".join(problems), hint=more)
    return (
        {name: value for name, value in resolved.items() if not every[name].secret},
        {name: value for name, value in resolved.items() if every[name].secret},
    )


def _undeclared(name: str) -> Param:
    return Param(name=name, secret=is_secret(name))


def _value(param: Param, given: Mapping[str, str], problems: list[str]) -> str:
    value = given.get(param.name)
    left_out = value is None or (value == "" and param.type is not ParamType.TEXT)
    value = param.default if left_out or value is None else value
    if not value and param.required:
        problems.append(f"{param.name} is missing{f': {param.label}' if param.label else ''}")
        return value
    if left_out and not value:
        return "false" if param.type is ParamType.BOOLEAN else ""
    normal, expected = param.check(value)
    if expected:
        got = "" if param.secret else f", got {shown(value)}"
        problems.append(f"{param.name}: expected {expected}{got}")
    return normal

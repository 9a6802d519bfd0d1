"""A form as data: its parameters in order, and when each of them is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

LABEL = "pwrl_"
"""Begins the name of a section about a resource: ``pwrl_host`` is about where the session runs."""

SERVICE = "service_name"
"""The variable that names the service; where there is none, the first whose name contains this does."""

SCHEDULER = "jobschedulertype"
"""The variable that says how a session runs."""

BETWEEN = "___"
"""Between the values of a list, where it is one variable."""

_SECRET_NAME = re.compile(r"passw(or)?d|passphrase|secret|token|api_?key", re.IGNORECASE)
_TAG = re.compile(r"_tag_\w*$")
_OLD_PREFIX = "_pw_"


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def untagged(name: str) -> str:
    """``p1_tag_cloud`` is ``p1``: the tag tells two parameters of one name apart in a form, and is no part of it.

    Nor is the ``_pw_`` that old forms have before every name.
    """
    return _TAG.sub("", name.removeprefix(_OLD_PREFIX))


class Kind(StrEnum):
    """What a parameter looks like to the person who fills the form in."""

    TEXT = "text"
    TEXTAREA = "textarea"
    HIDDEN = "hidden"
    SELECT = "select"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    RESOURCE = "resource"
    """The cluster: people say it with ``--on``."""
    DROPDOWN = "dropdown"
    """Its options were asked of the cluster by those who drew the form; here it takes any text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsOneOf:
    """The parameter at ``ref`` has one of ``values``."""

    ref: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IsTrue:
    """The boolean parameter at ``ref`` is true."""

    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceIs:
    """The cluster's ``attribute`` (``name``, ``provider``, ``type``) is one of ``values``."""

    attribute: str
    values: tuple[str, ...]


Condition = IsOneOf | IsTrue | ResourceIs


def in_words(condition: Condition) -> str:
    """A condition for people."""
    match condition:
        case IsOneOf(ref=ref, values=values):
            return f"{ref} is {' or '.join(values)}"
        case IsTrue(ref=ref):
            return f"{ref} is true"
        case ResourceIs(attribute=attribute, values=values):
            return f"the cluster's {attribute} is {' or '.join(values)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One choice; ``when`` may narrow when it is offered."""

    value: str
    label: str = ""
    selected: bool = False
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Options that depend on the value of the parameter at ``ref``."""

    ref: str
    by_value: Mapping[str, tuple[Option, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter. ``path`` is its sections' names and its own; ``line`` where it stands in the file.

    ``default`` is as its author wrote it. ``yes`` and ``no`` are what a boolean's values are called in conditions.
    It is part of a filled form where every condition of ``when`` holds.
    """

    path: tuple[str, ...]
    kind: Kind
    line: int
    spelled: str = ""
    label: str = ""
    help: str = ""
    section: str = ""
    default: str = ""
    options: tuple[Option, ...] = ()
    choices: Choices | None = None
    multiple: bool = False
    required: bool = False
    secret: bool = False
    min: int | None = None
    max: int | None = None
    yes: str = "true"
    no: str = "false"
    when: tuple[Condition, ...] = ()

    @property
    def dotted(self) -> str:
        """``section.param``: what people and conditions call it."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The variable that templates see: its sections' names and its own, but a resource's section has no say."""
        return "_".join(self.path[1:] if self.path[0].startswith(LABEL) and len(self.path) > 1 else self.path)

    @property
    def names(self) -> frozenset[str]:
        """Everything it can be called by."""
        return frozenset({self.dotted, self.spelled or self.dotted, self.variable, "_".join(self.path)})

    def all_options(self) -> Iterator[Option]:
        """Every option that it may have, whenever."""
        yield from self.options
        for options in self.choices.by_value.values() if self.choices is not None else ():
            yield from options


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form. One with ``problems`` cannot be filled in; ``warnings`` are mistakes that change nothing or little.

    Both are lines that begin with the file and the line.
    """

    file: str
    title: str = ""
    description: str = ""
    params: tuple[Param, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The resource's section that a session is about: ``pwrl_host``, else the only or first one; may be empty."""
        found = [param.path[0] for param in self.params if len(param.path) > 1 and param.path[0].startswith(LABEL)]
        return "pwrl_host" if "pwrl_host" in found or not found else found[0]

    @property
    def service(self) -> str:
        """The service it is in front of, as far as it says so before it is filled in; may be empty."""
        exact = [param.default for param in self.params if param.variable == SERVICE]
        return next(filter(None, [*exact, *(p.default for p in self.params if SERVICE in p.variable)]), "")

    def at(self, ref: str) -> tuple[Param, ...]:
        """The parameters at a reference: as it is spelled if one is, else without tags."""
        exact = tuple(param for param in self.params if param.spelled == ref)
        return exact or tuple(param for param in self.params if param.dotted == ref)

    def called(self, name: str) -> tuple[Param, ...]:
        """The parameters that people mean by ``name``."""
        return self.at(name) or tuple(param for param in self.params if name in param.names)

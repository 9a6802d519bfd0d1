"""The words of the API about services and their forms. As `wire`: types, with no imports but of each other."""

from __future__ import annotations

from typing import TypedDict


class Param(TypedDict):
    """One value a service takes through ``--set``."""

    name: str
    label: str
    help: str
    type: str
    default: str
    options: list[str]
    required: bool
    secret: bool


class Service(TypedDict):
    """A service that can be started, or whose folder cannot be used: then ``problems`` says why, a line each.

    ``workflows`` are the names of the forms that start it. ``thumbnail`` is the path of its picture, a PNG, and empty
    where it has none. ``last`` are the values that were given the last time it was started without a form.
    """

    name: str
    title: str
    description: str
    folder: str
    params: list[Param]
    workflows: list[str]
    thumbnail: str
    problems: list[str]
    last: dict[str, str]


class WorkflowOption(TypedDict):
    """One choice of a form's parameter; ``when`` says in words when it is offered, empty for always."""

    value: str
    label: str
    when: str


class WorkflowParam(TypedDict):
    """One parameter of a form. ``name`` is ``section.param``, ``variable`` what templates see.

    ``type`` is one of text, textarea, hidden, select, boolean, integer, resource, dropdown; ``when`` says in words when
    it is asked for, empty for always. ``default`` is as the form's author wrote it, empty for a secret. ``asks``: what
    it asks of the scheduler, in the words of a cluster's defaults (``partition``, ``time``), else empty.
    """

    name: str
    variable: str
    section: str
    label: str
    help: str
    type: str
    default: str
    options: list[WorkflowOption]
    min: int | None
    max: int | None
    multiple: bool
    required: bool
    secret: bool
    when: str
    asks: str


class Workflow(TypedDict):
    """A form in front of a service. One with ``problems`` cannot be started; each of them, and of ``warnings``, is a
    line that begins with file and line. ``name`` is empty for a file that is in no service's folder. ``description`` is
    in Markdown. ``thumbnail`` is the path of its picture, or of its service's, and empty where there is none. ``last``
    are the values that were given the last time, by ``section.param``: what ``again`` takes."""

    name: str
    title: str
    description: str
    service: str
    file: str
    params: list[WorkflowParam]
    thumbnail: str
    problems: list[str]
    warnings: list[str]
    last: dict[str, str]


class FilledField(TypedDict):
    """A parameter of a form that is asked for just now: what is in it (nothing of a secret), and its choices."""

    name: str
    value: str
    options: list[WorkflowOption]


class Filling(TypedDict):
    """A form while it is filled in. ``mode`` is how it would run, null where that cannot be; ``problems`` are lines
    that begin with the parameter they are about, if they are about one."""

    mode: str | None
    fields: list[FilledField]
    problems: list[str]


class CheckWorkflow(TypedDict):
    """The body of ``POST /v1/workflows/check``: a form's file in base 64, and what to call it in messages."""

    file: str
    content: str

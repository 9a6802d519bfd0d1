"""``sessionctl workflow show`` and ``sessionctl workflow check``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_workflows, json_option
from sessiond.cli.output import paint, safe, say, say_json
from sessiond.client import Client, ClientError

if TYPE_CHECKING:
    from sessiond.api.wire import Workflow, WorkflowParam

_LARGEST: Final = 2 << 20
"""More than the daemon reads: it says so itself."""


@click.group()
def command() -> None:
    """Show a form, or everything that is wrong with its file."""


@command.command()
@click.argument("name", metavar="FILE_OR_NAME", shell_complete=complete_workflows)
@json_option
def show(name: str, as_json: bool) -> int:
    """Show what a form asks for, and what it stands for."""
    found = _found(connect(), name)
    if as_json:
        say_json(found)
        return 0
    say(f"{paint(safe(found['name'] or found['file']), 'strong')}: {safe(found['title'])}")
    if found["description"]:
        say(safe(found["description"]))
    say(f"It starts {safe(found['service']) or 'the service in whose folder it is'}. Its file: {safe(found['file'])}")
    for problem in found["problems"]:
        say(f"{paint('Cannot be started:', 'error')} {safe(problem)}")
    _asked([param for param in found["params"] if param["type"] not in ("hidden", "resource")], found["last"])
    _fixed([param for param in found["params"] if param["type"] == "hidden"])
    return 0


@command.command()
@click.argument("name", metavar="FILE_OR_NAME", shell_complete=complete_workflows)
@json_option
def check(name: str, as_json: bool) -> int:
    """Print every problem of a form's file. Status 1 where it cannot be used; warnings alone leave it 0."""
    found = _found(connect(), name)
    if as_json:
        say_json(found)
    else:
        for problem in found["problems"]:
            say(safe(problem))
        for warning in found["warnings"]:
            say(f"{safe(warning)} (warning)")
        if not found["problems"]:
            asked = sum(param["type"] not in ("hidden", "resource") for param in found["params"])
            say(f"{safe(name)}: it can be used; it asks for {asked} of its {len(found['params'])} values")
    return 1 if found["problems"] else 0


def _found(client: Client, name: str) -> Workflow:
    """A form in a file, where ``name`` is one, else the form of that name."""
    if not (name.endswith(".xml") or os.path.isfile(name)):  # noqa: PTH113 - a plain string
        return client.workflow(name)
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - a plain string
            content = file.read(_LARGEST)
    except OSError as error:
        code = "not-found" if isinstance(error, FileNotFoundError) else "refused"
        raise ClientError(code, f"{name} cannot be read: {error.strerror or error}") from None
    return client.check_workflow(name, content)


def _asked(params: list[WorkflowParam], last: dict[str, str]) -> None:
    if not params:
        return
    say()
    say("It asks for, given as --set KEY=VALUE:")
    section = ""
    for param in params:
        if param["section"] != section:
            section = param["section"]
            say(f"  {safe(section)}:" if section else "")
        say(f"  {paint(safe(param['name']), 'strong')}  {safe(_about(param, last))}")
    if last:
        say()
        say("`sessionctl start NAME --again` takes the values of the last time.")


def _about(param: WorkflowParam, last: dict[str, str]) -> str:
    about = [param["label"] or param["type"]]
    if param["help"] and param["help"] != param["label"]:
        about.append(param["help"])
    if param["options"]:
        offered = [one["value"] + (f" (where {one['when']})" if one["when"] else "") for one in param["options"]]
        about.append(("some of " if param["multiple"] else "one of ") + ", ".join(offered))
    if param["type"] in ("integer", "boolean"):
        about.append(_range(param))
    if param["required"] and not param["default"]:
        about.append("required")
    elif param["default"]:
        about.append(f"default {param['default']}")
    if param["secret"]:
        about.append("kept secret")
    if param["when"]:
        about.append(f"asked for where {param['when']}")
    if param["name"] in last:
        about.append(f"the last time {last[param['name']]}")
    return "; ".join(about)


def _range(param: WorkflowParam) -> str:
    if param["type"] == "boolean":
        return "true or false"
    lower = f" from {param['min']}" if param["min"] is not None else ""
    upper = f" up to {param['max']}" if param["max"] is not None else ""
    return f"a whole number{lower}{upper}"


def _fixed(params: list[WorkflowParam]) -> None:
    if not params:
        return
    say()
    say("It stands for:")
    for param in params:
        value = "***" if param["secret"] else param["default"]
        where = f"  (where {param['when']})" if param["when"] else ""
        say(f"  {safe(param['name'])} = {safe(value)}{safe(where)}")

"""``sessionctl workflow show`` and ``sessionctl workflow check``."""

from __future__ import annotations

import os
import re
import sys
from itertools import groupby
from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_workflows, json_option
from sessiond.cli.output import columns, paint, safe, say, say_json, wrapped
from sessiond.cli.sheet import entries, fitting, paragraphs, words_about

if TYPE_CHECKING:
    from sessiond.api.wire_forms import Workflow, WorkflowParam


@click.group(no_args_is_help=False)
def command() -> None:
    """Show a form, or everything that is wrong with its file."""


@command.command()
@click.argument("name", metavar="FILE_OR_NAME", shell_complete=complete_workflows)
@json_option
def show(name: str, as_json: bool) -> int:
    """Show what a form asks for, and what it stands for."""
    if _is_file(name):
        from sessiond.formcheck import in_file

        found = in_file(name)
    else:
        found = connect().workflow(name)
    if as_json:
        say_json(found)
        return 0
    width = fitting(columns(sys.stdout))
    say(f"{paint(safe(found['name'] or found['file']), 'strong')}: {safe(found['title'])}".removesuffix(": "))
    # The title has just been said.
    about = re.sub(r"\A# .*\n?", "", found["description"])
    for line in paragraphs(about, width=width) if about else ():
        say(line)
    say(f"It starts {safe(found['service']) or 'the service in whose folder it is'}. Its file: {safe(found['file'])}")
    for problem in found["problems"]:
        say(f"{paint('Cannot be started:', 'error')} {safe(problem)}")
    _asked(found, width)
    _fixed([param for param in found["params"] if param["type"] == "hidden"], width)
    _last(found, width)
    return 0


@command.command()
@click.argument("name", metavar="FILE_OR_NAME", shell_complete=complete_workflows)
@json_option
def check(name: str, as_json: bool) -> int:
    """Print every problem of a form's file. Status 1 where it cannot be used; warnings alone leave it 0.

    No daemon is asked."""
    from sessiond.formcheck import in_file, named

    found = in_file(name) if _is_file(name) else named(name)
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


def _is_file(name: str) -> bool:
    return name.endswith(".xml") or os.path.isfile(name)  # noqa: PTH113 - a plain string


def _asked(found: Workflow, width: int | None) -> None:
    asked = [param for param in found["params"] if param["type"] not in ("hidden", "resource")]
    resource = [param for param in found["params"] if param["type"] == "resource"]
    if asked:
        say()
        say("It asks for, given as --set KEY=VALUE:")
    for section, of_section in groupby(asked, key=lambda one: one["section"]):
        if section:
            say(f"  {safe(section)}:")
        for when, params in groupby(of_section, key=lambda one: one["when"]):
            indent = 4 if section else 2
            if when:
                for line in wrapped(f"where {safe(when)}:", (width or 10_000) - indent):
                    say(" " * indent + line)
                indent += 2
            for line in entries([(safe(one["name"]), safe(_about(one))) for one in params], width=width, indent=indent):
                say(line)
    if resource:
        say()
        say("Where it runs is said with --on CLUSTER.")


def _last(found: Workflow, width: int | None) -> None:
    if not found["last"]:
        return
    say()
    say(f"The last time, and with `sessionctl start {safe(found['name'])} --again` once more:")
    for line in entries([(safe(name), safe(value)) for name, value in found["last"].items()], width=width):
        say(line)


def _about(param: WorkflowParam) -> str:
    about = words_about(param["label"], param["help"]) or [param["type"]]
    if param["options"]:
        offered = [one["value"] + (f" (where {one['when']})" if one["when"] else "") for one in param["options"]]
        about.append(("some of " if param["multiple"] else "one of ") + ", ".join(offered))
    if param["type"] in ("integer", "boolean"):
        about.append(_range(param))
    default = _default(param)
    if param["required"] and not default:
        about.append("required")
    elif default:
        about.append(f"default {default}")
    if param["secret"]:
        about.append("kept secret")
    return "; ".join(about)


def _default(param: WorkflowParam) -> str:
    """What counts where nothing is said; of a select whose options depend on nothing, it may be the first of them."""
    values = [one["value"] for one in param["options"]]
    fixed = not any(one["when"] for one in param["options"])
    if param["type"] != "select" or param["multiple"] or not fixed or param["default"] in values:
        return param["default"]
    return next(iter(values), param["default"])


def _range(param: WorkflowParam) -> str:
    if param["type"] == "boolean":
        return "true or false"
    lower = f" from {param['min']}" if param["min"] is not None else ""
    upper = f" up to {param['max']}" if param["max"] is not None else ""
    return f"a whole number{lower}{upper}"


def _fixed(params: list[WorkflowParam], width: int | None) -> None:
    if not params:
        return
    say()
    say("It stands for:")
    rows = []
    for param in params:
        value = "***" if param["secret"] else param["default"] or "(empty)"
        rows.append((safe(param["name"]), safe(value + (f"  (where {param['when']})" if param["when"] else ""))))
    for line in entries(rows, width=width):
        say(line)

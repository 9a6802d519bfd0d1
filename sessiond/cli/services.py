"""``sessionctl services``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_services, json_option
from sessiond.cli.output import columns, paint, safe, say, say_json, table
from sessiond.client import ClientError

if TYPE_CHECKING:
    from sessiond.api.wire import Param, Service


@click.command()
@click.argument("service", required=False, shell_complete=complete_services)
@json_option
def command(service: str | None, as_json: bool) -> int:
    """List what can be started; of one SERVICE, the values it takes."""
    found = connect().services()
    if service is not None:
        one = _named(found, service)
        if as_json:
            say_json(one)
        else:
            _show(one)
        return 0
    if as_json:
        say_json(found)
        return 0
    if not found:
        say("There are no services.", err=True)
    else:
        _list(found)
    return 0


def _named(found: list[Service], name: str) -> Service:
    for one in found:
        if one["name"] == name:
            return one
    from difflib import get_close_matches

    near = get_close_matches(name, [one["name"] for one in found], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`sessionctl services` lists them"
    raise ClientError("not-found", f"there is no service {name!r}", hint)


def _list(found: list[Service]) -> None:
    rows = [
        [safe(one["name"]), safe(one["title"]), safe(one["problems"][0] if one["problems"] else one["description"])]
        for one in found
    ]
    lines = table(
        ("NAME", "TITLE", "DESCRIPTION"),
        rows,
        width=columns(sys.stdout),
        shrink={1: 12, 2: 24},
        look=lambda row, column: "error" if column == 2 and found[row]["problems"] else "",
    )
    for line in lines:
        say(line)


def _show(one: Service) -> None:
    say(f"{paint(safe(one['name']), 'strong')}: {safe(one['title'])}")
    if one["description"]:
        say(safe(one["description"]))
    say(f"Its folder: {safe(one['folder'])}")
    for problem in one["problems"]:
        say(f"{paint('Cannot be started:', 'error')} {safe(problem)}")
    if one["params"]:
        say()
        say("Values, given as --set KEY=VALUE:")
        for param in one["params"]:
            say(f"  {paint(safe(param['name']), 'strong')}  {safe(_about(param))}")


def _about(param: Param) -> str:
    about = [param["label"] or param["help"] or param["type"]]
    if param["label"] and param["help"]:
        about.append(param["help"])
    if param["options"]:
        about.append("one of " + ", ".join(param["options"]))
    if param["required"]:
        about.append("required")
    elif param["default"]:
        about.append(f"default {param['default']}")
    if param["secret"]:
        about.append("kept secret")
    return "; ".join(about)

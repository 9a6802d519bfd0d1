"""``sessionctl services``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_services, json_option
from sessiond.cli.output import columns, paint, safe, say, say_json, table
from sessiond.cli.sheet import entries, fitting, what_it_is, words_about

if TYPE_CHECKING:
    from sessiond.api.wire_forms import Param, Service
    from sessiond.client import Client

_TITLE: Final = 60
"""So much of a title is cut only where the descriptions have gone already."""


@click.command()
@click.argument("service", required=False, shell_complete=complete_services)
@json_option
def command(service: str | None, as_json: bool) -> int:
    """List what can be started; of one SERVICE, the values it takes and the forms in front of it."""
    client = connect()
    if service is not None:
        one = client.service(service)
        if as_json:
            say_json(one)
        else:
            _show(one, client)
        return 0
    found = client.services()
    if as_json:
        say_json(found)
        return 0
    if not found:
        say("There are no services.", err=True)
    else:
        _list(found)
    return 0


def _list(found: list[Service]) -> None:
    rows = [
        [
            safe(one["name"]),
            safe(one["title"]),
            str(len(one["workflows"]) or ""),
            safe(one["problems"][0] if one["problems"] else one["description"]),
        ]
        for one in found
    ]
    lines = table(
        ("NAME", "TITLE", "FORMS", "DESCRIPTION"),
        rows,
        width=columns(sys.stdout),
        shrink={1: _TITLE, 3: 32},
        drop=(3,),
        look=lambda row, column: "error" if column == 3 and found[row]["problems"] else "",
    )
    for line in lines:
        say(line)


def _show(one: Service, client: Client) -> None:
    width = fitting(columns(sys.stdout))
    title = "" if one["title"] == one["name"] else f": {safe(one['title'])}"
    say(paint(safe(one["name"]), "strong") + title)
    if one["description"]:
        say(safe(one["description"]))
    say(f"Its folder: {safe(one['folder'])}")
    for problem in one["problems"]:
        say(f"{paint('Cannot be started:', 'error')} {safe(problem)}")
    if one["params"]:
        say()
        say("Values, given as --set KEY=VALUE:")
        _say_all([(param["name"], _about(param)) for param in one["params"]], width)
    if one["workflows"]:
        say()
        say("Forms in front of it, which `sessionctl start` takes like services:")
        forms = {form["name"]: form for form in client.workflows()}
        known = (forms[name] for name in one["workflows"] if name in forms)
        _say_all([(form["name"], what_it_is(form)) for form in known], width)
    if one["last"]:
        say()
        say(f"The last time, and with `sessionctl start {safe(one['name'])} --again` once more:")
        _say_all(list(one["last"].items()), width)


def _say_all(rows: list[tuple[str, str]], width: int | None) -> None:
    for line in entries([(safe(name), safe(text)) for name, text in rows], width=width):
        say(line)


def _about(param: Param) -> str:
    about = words_about(param["label"], param["help"]) or [param["type"]]
    if param["options"]:
        about.append("one of " + ", ".join(param["options"]))
    if param["required"]:
        about.append("required")
    elif param["default"]:
        about.append(f"default {param['default']}")
    if param["secret"]:
        about.append("kept secret")
    return "; ".join(about)

"""``sessionctl workflows``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_services, json_option
from sessiond.cli.output import columns, safe, say, say_json, table
from sessiond.cli.sheet import what_it_is
from sessiond.client import Client, ClientError

if TYPE_CHECKING:
    from sessiond.api.wire_forms import Workflow


@click.command()
@click.argument("service", required=False, shell_complete=complete_services)
@json_option
def command(service: str | None, as_json: bool) -> int:
    """List the forms in front of services, or of one SERVICE."""
    client = connect()
    found = client.workflows()
    if service is not None:
        found = _of(client, found, service)
    if as_json:
        say_json(found)
    elif found:
        _list(found)
    else:
        say("There are no workflows.", err=True)
    return 0


def _of(client: Client, found: list[Workflow], service: str) -> list[Workflow]:
    """The forms that are in front of ``service`` or in its folder."""
    chosen = [one for one in found if one["service"] == service or one["name"].startswith(f"{service}/")]
    if not chosen and all(one["name"] != service for one in client.services()):
        raise ClientError("not-found", f"there is no service {service!r}", "`sessionctl services` lists them")
    return chosen


def _list(found: list[Workflow]) -> None:
    """By service, each of which is named once; the names of forms are whole, for those who search in them."""
    found = sorted(found, key=lambda one: (one["service"], one["name"]))
    before = ["", *(one["service"] for one in found)]
    rows = [
        [
            safe("" if one["service"] == before[number] else one["service"]),
            safe(one["name"]),
            safe(what_it_is(one)),
        ]
        for number, one in enumerate(found)
    ]
    lines = table(
        ("SERVICE", "WORKFLOW", "WHAT IT IS"),
        rows,
        width=columns(sys.stdout),
        shrink={2: 44},
        drop=(0,),
        look=lambda row, column: "error" if column == 2 and found[row]["problems"] else "",
    )
    for line in lines:
        say(line)

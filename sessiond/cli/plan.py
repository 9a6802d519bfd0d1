"""``sessionctl plan``."""

from __future__ import annotations

from typing import Any

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import paint, safe, safe_lines, say, say_json
from sessiond.cli.start import request, request_options


@click.command()
@request_options
@json_option
def command(as_json: bool, **arguments: Any) -> int:
    """Show what `start` would do with the same arguments; nothing is submitted.

    Where there is a scheduler it is asked what it would say."""
    plan = connect().plan(request(**arguments))
    if as_json:
        say_json(plan)
        return 0
    facts = {
        "service": plan["service"],
        "where": f"{plan['cluster']} ({plan['mode']})",
        "folder": plan["folder"],
        "submit": plan["submit"],
        **({"scheduler": plan["scheduler"]} if plan["scheduler"] else {}),
        **plan["ports"],
        **({"licences": plan["licences"]} if plan["licences"] else {}),
        "url": plan["url"],
    }
    size = max(len(key) for key in facts)
    for key, value in facts.items():
        say(f"{paint(safe(key).ljust(size), 'strong')}  {safe(value)}")
    for path, text in plan["files"].items():
        say()
        say(paint(f"==> {safe(path)} <==", "strong"))
        say(safe_lines(text.removesuffix("\n")))
    return 0

"""``sessionctl plan``."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import columns, hanging, paint, safe, safe_lines, say, say_json
from sessiond.cli.start import request, request_options

_COMMON: Final = re.compile(r"lib/.*|utils/notify\.sh|([a-z]+_)?run\.sh")
"""Files that every session is given alike: two thousand lines, between which nobody finds the fifty of their own."""


@click.command()
@request_options
@click.option("--all", "everything", is_flag=True, help="Print the files that every session is given, too.")
@json_option
def command(everything: bool, as_json: bool, **arguments: Any) -> int:
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
        name = safe(key).ljust(size)
        first, *more = hanging(f"{name}  {safe(value)}", columns(sys.stdout), size + 2)
        say(paint(name, "strong") + first.removeprefix(name))
        for line in more:
            say(line)
    common = [] if everything else [path for path in plan["files"] if _COMMON.fullmatch(path)]
    for path, text in plan["files"].items():
        if path in common:
            continue
        say()
        say(paint(f"==> {safe(path)} <==", "strong"))
        say(safe_lines(text.removesuffix("\n")))
    if common:
        say()
        names = f"And what every session is given (--all prints it): {', '.join(map(safe, common))}"
        for line in hanging(names, columns(sys.stdout), 2):
            say(line)
    return 0

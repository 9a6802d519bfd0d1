"""``sessionctl extend``."""

from __future__ import annotations

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option, live_name_argument
from sessiond.cli.output import clock, left, safe, say, say_json


@click.command()
@live_name_argument
@click.argument("by", metavar="+DURATION")
@json_option
def command(name: str, by: str, as_json: bool) -> int:
    """Ask the scheduler for more walltime: +30m, +2h, +1h30m or +01:30:00. It may refuse, and says why."""
    found = connect().extend(name, by)
    if as_json:
        say_json(found)
        return 0
    session = found["session"]
    say(f"{safe(session['name'])}: {safe(found['text'])}")
    if session["ends_by"]:
        say(f"Until now it ended by {clock(session['ends_by'])} (in {left(session['ends_by'])}).", err=True)
    return 0

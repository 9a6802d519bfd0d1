"""``sessionctl reload``."""

from __future__ import annotations

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import safe, say, say_json
from sessiond.client import ClientError, NoDaemon


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Have the daemon read its configuration again. One with errors is refused, and the old one stays."""
    client = connect(start=False)
    try:
        done = client.reload()
    except NoDaemon as error:
        # A daemon that starts reads the configuration anyway.
        raise ClientError(error.code, error.message, "there is nothing to reload") from None
    if as_json:
        say_json(done)
        return 0
    for change in done["changed"]:
        say(safe(change))
    for change in done["restart"]:
        say(f"needs a restart of sessiond: {safe(change)}")
    if not done["changed"] and not done["restart"]:
        say("Nothing has changed.")
    return 0

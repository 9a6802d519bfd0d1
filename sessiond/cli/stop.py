"""``sessionctl stop``."""

from __future__ import annotations

import click

from sessiond.cli.launch import connect
from sessiond.cli.many import each
from sessiond.cli.options import json_option, names_argument
from sessiond.cli.output import safe, say, say_json
from sessiond.cli.wait import over

_INTERRUPTED = 130


@click.command()
@names_argument(required=False, live=True)
@click.option("--now", is_flag=True, help="Do not wait for the service's own kill script.")
@click.option("--all", "everything", is_flag=True, help="All sessions.")
@click.option("--no-wait", is_flag=True, help="Return as soon as the order is recorded.")
@json_option
def command(names: tuple[str, ...], now: bool, everything: bool, no_wait: bool, as_json: bool) -> int:
    """Stop sessions, and wait until they have ended."""
    if bool(names) is everything:
        raise click.UsageError("name the sessions to stop, or say --all", ctx=click.get_current_context())
    client = connect()
    if everything:
        names = tuple(one["id"] for one in client.sessions())
        if not names and not as_json:
            say("Nothing to stop.", err=True)
    found, refused = each(names, lambda name: client.stop(name, force=now))
    if not no_wait:
        from sessiond.cli.follow import Detached, follow

        try:
            found = follow(client, [one["id"] for one in found], over, quiet=as_json, told=over)
        except Detached:
            say("Detached; the sessions are still being stopped.", err=True)
            return _INTERRUPTED
    if refused is not None:
        raise refused
    if as_json:
        say_json(found)
    else:
        for one in found:
            say(f"{safe(one['name'])}: {safe(one['phrase'])}")
    return 0

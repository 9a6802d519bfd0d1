"""``sessionctl logout``."""

from __future__ import annotations

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_links
from sessiond.cli.output import safe, say


@click.command()
@click.argument("cluster", shell_complete=complete_links)
def command(cluster: str) -> int:
    """Drop the link to CLUSTER. Its jobs go on; nothing connects there again before you log in."""
    found = connect().logout(cluster)
    name = safe(found["name"])
    say(f"{name}: logged out; its jobs go on, and `sessionctl login {name}` connects again")
    return 0

"""``sessionctl ssh-config``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.openssh import inherited, known_hosts, settings
from sessiond.cli.options import complete_sessions
from sessiond.cli.output import is_terminal, say
from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessiond.client import Client

_HEAD: Final = """\
# Sessions as hosts, for ssh, scp, rsync and editors. Written by:
#   sessionctl ssh-config > ~/.ssh/sessiond.conf
# and read where ~/.ssh/config begins with the line:
#   Include ~/.ssh/sessiond.conf
# Write it anew when sessions have started or ended."""


@click.command()
@click.option("--host-keys", "name", metavar="NAME", shell_complete=complete_sessions, hidden=True)
def command(name: str | None) -> int:
    """Print an ssh configuration in which each live session on a cluster is a host of its name."""
    client = connect(start=name is None)
    if name is not None:
        # What ssh runs as KnownHostsCommand.
        for line in known_hosts(client.ssh(name)):
            say(line)
        return 0
    say(_HEAD)
    found = 0
    for block in _blocks(client):
        found += 1
        say()
        for line in block:
            say(line)
    if not found and is_terminal(sys.stderr):
        say("No session runs on a cluster now.", err=True)
    return 0


def _blocks(client: Client) -> Iterator[list[str]]:
    for session in client.sessions():
        if session["cluster"] == "local" or any(char in session["name"] for char in "*?! \t\"'"):
            continue
        try:
            access = client.ssh(session["name"])
        except ClientError as error:
            # One that waits for its node has no host yet.
            if error.code == "no-daemon":
                raise
            yield [f"# {session['name']}: {' '.join(error.message.split())}"]
            continue
        pairs = [*settings(access, session["name"]), *inherited(access)]
        yield [f"Host {session['name']}", *(f"    {key} {value}" for key, value in pairs)]

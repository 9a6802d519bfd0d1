"""``sessionctl version``."""

from __future__ import annotations

import click

from sessiond import __version__
from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import safe, say, say_json
from sessiond.client import ClientError


@click.command()
@json_option
def command(as_json: bool) -> int:
    """Print the versions of sessionctl and of the daemon, where one runs."""
    daemon: str | None = None
    try:
        daemon = connect(start=False, timeout_s=5).status()["version"]
        words = daemon
    except ClientError as error:
        words = "not running" if error.code == "no-daemon" else f"unknown: {error.message}"
    if as_json:
        say_json({"sessionctl": __version__, "sessiond": daemon})
    else:
        say(f"sessionctl {__version__}")
        say(f"sessiond {safe(words)}")
    return 0

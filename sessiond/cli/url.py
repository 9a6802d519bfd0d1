"""``sessionctl url``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option, live_name_argument
from sessiond.cli.output import safe, say, say_json
from sessiond.client import ClientError

if TYPE_CHECKING:
    from sessiond.api.wire import Session


@click.command()
@live_name_argument
@json_option
def command(name: str, as_json: bool) -> int:
    """Print a session's URL."""
    session = connect().session(name)
    url = url_of(session)
    if as_json:
        say_json({"name": session["name"], "url": url})
    else:
        say(safe(url))
    return 0


def url_of(session: Session) -> str:
    """Where a browser finds the session. Raises ClientError where that is nowhere."""
    url = session["url"]
    if session["state"] == "ended":
        raise ClientError(
            "refused",
            f"{session['name']} has ended: {session['phrase']}",
            f"`sessionctl why {session['name']}` tells its story",
        )
    if not url:
        raise ClientError(
            "busy",
            f"{session['name']} has no URL: {session['phrase']}",
            f"`sessionctl wait {session['name']}` waits until it runs",
        )
    return url

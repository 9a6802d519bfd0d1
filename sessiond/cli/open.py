"""``sessionctl open``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import live_name_argument
from sessiond.cli.output import safe, say
from sessiond.cli.url import url_of

if TYPE_CHECKING:
    from sessiond.api.wire import Session


@click.command()
@live_name_argument
def command(name: str) -> int:
    """Open a session in the browser; print its URL where none can be opened."""
    session = connect().session(name)
    if not open_url(session):
        say(safe(session["url"]))
    return 0


def open_url(session: Session) -> bool:
    """Open it, and say so where that cannot be done. Raises ClientError where the session has no URL."""
    return open_address(url_of(session))


def open_address(url: str) -> bool:
    """Open an address, and say so where that cannot be done."""
    if can_open() and url.startswith(("http://", "https://")):
        import webbrowser

        if webbrowser.open(url):
            return True
    say("No browser can be opened from here; open the URL yourself.", err=True)
    return False


def can_open() -> bool:
    """Whether a browser with a window can be expected: Python would else take a text browser, in this terminal."""
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))

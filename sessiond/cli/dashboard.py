"""``sessionctl dashboard``."""

from __future__ import annotations

import click

from sessiond.cli.launch import connect
from sessiond.cli.open import open_address
from sessiond.cli.options import json_option
from sessiond.cli.output import safe, say, say_json


@click.command()
@click.option("--print", "only_print", is_flag=True, help="Print the link, also where a browser could be opened.")
@json_option
def command(only_print: bool, as_json: bool) -> int:
    """Open the web page of all sessions; print a link to it where no browser can be opened.

    The link opens the page once, within two minutes. A page that was opened stays open until the daemon ends.
    """
    link = connect().dashboard()
    if as_json:
        say_json(link)
    elif only_print or not open_address(link["url"]):
        say(safe(link["url"]))
    return 0

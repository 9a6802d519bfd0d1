"""``sessionctl rm``."""

from __future__ import annotations

import click

from sessiond.cli.launch import connect
from sessiond.cli.many import each
from sessiond.cli.options import names_argument


@click.command()
@names_argument(required=True, live=False)
def command(names: tuple[str, ...]) -> int:
    """Forget ended sessions: their records and their folders. One that has not ended is refused."""
    _, refused = each(names, connect().remove)
    if refused is not None:
        raise refused
    return 0

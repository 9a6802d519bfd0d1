"""``sessionctl clusters``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import columns, safe, say, say_json, span, table

if TYPE_CHECKING:
    from sessiond.api.wire_clusters import Cluster

_LINK, _ATTEMPTS, _COMMANDS = 3, 5, 6


@click.command()
@json_option
def command(as_json: bool) -> int:
    """List where sessions can run, how it stands with the way there, and what was asked of each so far."""
    found = connect().clusters()
    if as_json:
        say_json(found)
        return 0
    lines = table(
        ("NAME", "SCHEDULER", "HOST", "LINK", "SEEN", "ATTEMPTS", "COMMANDS"),
        [_row(one) for one in found],
        width=columns(sys.stdout),
        shrink={2: 12, _LINK: 40},
        drop=(_COMMANDS, _ATTEMPTS),
        look=lambda row, column: found[row]["link"]["severity"] if column == _LINK else "",
    )
    for line in lines:
        say(line)
    for one in found:
        if one["link"]["next"] and one["link"]["severity"] in ("attention", "error"):
            say(f"{safe(one['name'])}: {safe(one['link']['next'])}", err=True)
    return 0


def _row(one: Cluster) -> list[str]:
    age = one["observed_age_s"]
    return [
        safe(one["name"]),
        safe(one["scheduler"]),
        safe(one["host"] or "-"),
        safe(one["link"]["phrase"]),
        f"{span(age)} ago" if age is not None else "-",
        str(one["link"]["attempts"]),
        str(one["commands"]),
    ]

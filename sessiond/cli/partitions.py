"""``sessionctl partitions``."""

from __future__ import annotations

import sys
from typing import Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_clusters, json_option
from sessiond.cli.output import columns, safe, say, say_json, span, table
from sessiond.client import ClientError

_PATIENCE_S: Final = 180.0
"""The question has an end of its own, and so has the connecting before it."""


@click.command()
@click.argument("cluster", shell_complete=complete_clusters)
@json_option
def command(cluster: str, as_json: bool) -> int:
    """List the partitions or queues of CLUSTER. It is asked, and connected to, unless it was asked within the hour."""
    found = connect(timeout_s=_PATIENCE_S).partitions(cluster, ask=True)
    if found["kind"] and not found["known"]:
        raise ClientError(found["code"] or "busy", found["why"] or f"{cluster} has not told yet", found["hint"])
    if as_json:
        say_json(found)
        return 0
    if not found["kind"]:
        say(f"{safe(cluster)} has no scheduler, and so neither partitions nor queues.", err=True)
        return 0
    rows = found["partitions"]
    lines = table(
        (found["kind"].upper(), "WHAT IT IS"),
        [[safe(one["name"]), safe(one["text"] or "-")] for one in rows],
        width=columns(sys.stdout),
        shrink={1: 24},
        look=lambda row, column: "" if column == 0 or (rows[row]["takes"] and rows[row]["starts"]) else "attention",
    )
    for line in lines:
        say(line)
    if found["usual"] and not any(one["default"] and one["name"] == found["usual"] for one in rows):
        say(f"Where nothing is said, the configuration has {safe(found['usual'])}.", err=True)
    if found["why"] and found["age_s"] is not None:
        say(f"This is of {span(found['age_s'])} ago. Asked again: {safe(found['why'])}.", err=True)
    return 0

"""``sessionctl watch``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import clock, paint, safe, say
from sessiond.client import ClientError

if TYPE_CHECKING:
    from sessiond.api.wire import Event

_PATIENCE_S: Final = 60.0
_INTERRUPTED: Final = 130


@click.command()
@click.option("--since", type=click.IntRange(min=0), metavar="SEQ", help="Begin after this event, not now.")
@json_option
def command(since: int | None, as_json: bool) -> int:
    """Print what happens to all sessions, as it happens; with --json a JSON object a line.

    A daemon that restarts is waited for, and nothing that happened meanwhile is missed.
    """
    client = connect()
    lost_at: float | None = None
    try:
        while True:
            try:
                for event in client.events(since):
                    lost_at = None
                    since = event["seq"]
                    say(json.dumps(event) if as_json else line(event))
                reason = ClientError("no-daemon", "sessiond closed the stream")
            except ClientError as error:
                if error.code != "no-daemon":
                    raise
                reason = error
            if lost_at is None:
                lost_at = time.monotonic()
                say("sessiond went away; waiting for it.", err=True)
            elif time.monotonic() - lost_at > _PATIENCE_S:
                raise reason
            time.sleep(0.5)
    except KeyboardInterrupt:
        return _INTERRUPTED


def line(event: Event) -> str:
    """An event for people: when, who, what."""
    look = "error" if event["problem"] else "ok" if event["to_state"] == "running" else ""
    text = paint(safe(event["text"] or event["event"]), look)
    return f"{paint(clock(event['at']), 'dim')}  {paint(safe(event['name'] or event['cluster']), 'strong')}  {text}"

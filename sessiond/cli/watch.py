"""``sessionctl watch``."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import cells, clock, columns, hanging, is_terminal, note, paint, safe, say
from sessiond.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessiond.api.wire import Event

_PATIENCE_S: Final = 60.0
_INTERRUPTED: Final = 130
_FIRST, _NAME = 8, 20
"""How wide the column of names is at first, and at most: a longer one moves its own line alone."""
_HINTED: Final = ("ended", "blocked", "backoff")
"""States after which a person may have something to do."""


@click.command()
@click.option("--since", type=click.IntRange(min=0), metavar="SEQ", help="Begin after this event, not now.")
@json_option
def command(since: int | None, as_json: bool) -> int:
    """Print what happens to all sessions, as it happens; with --json a JSON object a line.

    A daemon that restarts is waited for, and nothing that happened meanwhile is missed.
    """
    client = connect()
    log = Log(columns(sys.stdout))
    lost_at: float | None = None
    if not as_json and is_terminal(sys.stderr):
        note("What happens is shown here as it happens; Ctrl-C ends it.", "dim")
    try:
        while True:
            try:
                for event in client.events(since):
                    lost_at = None
                    since = event["seq"]
                    if as_json:
                        say(json.dumps(event))
                    else:
                        for text in log.lines(event):
                            say(text)
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


class Log:
    """Events for people: when, who, what. Names stand in one column, as wide as those that came so far.

    On a terminal of ``width`` columns a line has the time of day, and a day its own line; in a file each has both.
    """

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._names = _FIRST
        self._day = time.strftime("%Y-%m-%d")

    def lines(self, event: Event) -> Iterator[str]:
        """An event, in as many lines as it needs."""
        at = clock(event["at"])
        if self._width is not None:
            day, _, at = at.partition(" ")
            if day != self._day:
                self._day = day
                yield paint(f"-- {day} --", "dim")
        name = safe(event["name"] or event["cluster"])
        self._names = min(_NAME, max(self._names, cells(name)))
        gap = " " * (self._names - cells(name))
        problem = event["problem"]
        text = safe(event["text"] or event["event"])
        if problem is not None and problem["hint"] and event["to_state"] in _HINTED:
            text += f" ({safe(problem['hint']).removesuffix('.')})"
        elif event["to_state"] == "needs-login":
            text += f" (sessionctl login {safe(event['cluster'])})"
        look = "error" if problem else "ok" if event["to_state"] == "running" else ""
        indent = len(at) + self._names + 4
        first, *more = hanging(f"{' ' * indent}{text}", self._width, indent)
        yield f"{paint(at, 'dim')}  {paint(name, 'strong')}{gap}  {paint(first.lstrip(' '), look)}"
        yield from (paint(line, look) for line in more)

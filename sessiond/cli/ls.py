"""``sessionctl ls``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option
from sessiond.cli.output import ago, columns, left, note, safe, say, say_json, table

if TYPE_CHECKING:
    from sessiond.api.wire import Session

_HEAD = ("NAME", "SERVICE", "WHERE", "STATE", "SINCE", "LEFT", "URL")
_SERVICE, _WHERE, _STATE, _LEFT, _URL = map(_HEAD.index, ("SERVICE", "WHERE", "STATE", "LEFT", "URL"))


@click.command()
@click.option("--all", "-a", "ended_too", is_flag=True, help="Also those that have ended.")
@click.option("--fresh", is_flag=True, help="Have their clusters looked at first.")
@json_option
def command(ended_too: bool, fresh: bool, as_json: bool) -> int:
    """List sessions."""
    client = connect()
    sessions = client.sessions(all=ended_too, fresh=fresh)
    if as_json:
        say_json(sessions)
        return 0
    if not sessions:
        start = "Start one with `sessionctl start SERVICE`; `sessionctl services` lists what there is."
        over = 0 if ended_too else len(client.sessions(all=True))
        note(
            f"No session is alive; `sessionctl ls --all` shows {over} that ended." if over else f"No sessions. {start}"
        )
        return 0
    width = columns(sys.stdout)
    rows = [_row(session) for session in sessions]
    empty = [column for column in (_LEFT, _URL) if width is not None and not any(row[column] for row in rows)]
    lines = table(
        _HEAD,
        rows,
        hide=empty,
        width=width,
        drop=(_URL, _SERVICE, _WHERE),
        shrink={0: 16, 1: 8, 2: 13, _STATE: 22},
        look=lambda row, column: sessions[row]["severity"] if column == _STATE else "",
    )
    for line in lines:
        say(line)
    if _URL not in empty and "URL" not in lines[0] and sys.stderr.isatty():
        note("The URLs do not fit: `sessionctl url NAME` prints one.", "dim")
    return 0


def where(session: Session) -> str:
    """Where a session runs, in a word or two."""
    if session["mode"] == "local" or not session["node"]:
        return session["cluster"]
    node, *others = session["node"].split(",")
    return f"{session['cluster']}:{node}" + (f"+{len(others)}" if others else "")


def _row(session: Session) -> list[str]:
    ended = session["state"] == "ended"
    return [
        safe(session["name"]),
        safe(session["service"]),
        safe(where(session)),
        safe(session["phrase"]),
        ago(session["since"]),
        "" if ended else left(session["ends_by"]),
        "" if ended else safe(session["url"] or ""),
    ]

"""``sessionctl show``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option, name_argument
from sessiond.cli.output import ago, clock, columns, hanging, left, paint, safe, say, say_json, span

if TYPE_CHECKING:
    from sessiond.api.wire import Session


@click.command()
@name_argument
@json_option
def command(name: str, as_json: bool) -> int:
    """Show everything about a session."""
    session = connect().session(name)
    if as_json:
        say_json(session)
        return 0
    rows = [(key, value) for key, value in _facts(session) if value]
    size = max(len(key) for key, _ in rows)
    for key, value in rows:
        first, *more = hanging(f"{key.ljust(size)}  {safe(value)}", columns(sys.stdout), size + 2)
        look = session["severity"] if key == "state" else ""
        say(f"{paint(key.ljust(size), 'strong')}  {paint(first[size + 2 :], look)}")
        for line in more:
            say(line[: size + 2] + paint(line[size + 2 :], look))
    return 0


def _facts(session: Session) -> list[tuple[str, str]]:
    licence = session["licence"]
    problem = session["problem"] or (licence["problem"] if licence else None)
    link, form = session["link"], session["workflow"]
    age = session["observed_age_s"]
    pid, colon, _ = (session["job_id"] or "").partition(":")
    job = f"process {pid}" if colon else pid
    service = session["service_port"] or session["service_path"] or "not known yet"
    return [
        ("name", f"{session['name']} (number {session['number']}, id {session['id']})"),
        ("service", session["service"] + (f", workflow {form}" if form not in ("", session["service"]) else "")),
        (
            "where",
            f"{session['cluster']} ({session['mode']})" + (f", node {session['node']}" if session["node"] else ""),
        ),
        ("state", session["phrase"] + (f" [{session['state']}]" if session["state"] != session["phrase"] else "")),
        ("outcome", session["outcome"] or ""),
        ("since", _past(session["since"])),
        ("next", session["next"]),
        ("problem", problem["message"] if problem and problem["message"] not in session["phrase"] else ""),
        ("hint", problem["hint"] if problem and problem["hint"] not in session["next"] else ""),
        ("url", session["url"] or ""),
        ("ports", f"open {session['open_port']}, service {service}"),
        ("licences", licence["text"] + (" [open]" if licence["open"] else "") if licence else ""),
        ("job", " ".join(filter(None, (job, session["job_phase"], session["queue_reason"])))),
        ("expected", _future(session["expected_start"])),
        ("ends by", _future(session["ends_by"]) if session["state"] != "ended" else ""),
        ("unused", f"ends at {_future(session['idle_ends_by'])} unless used" if session["idle_ends_by"] else ""),
        ("attempt", str(session["attempt"])),
        ("link", link["state"] + (f" since {clock(link['since'])}" if link["since"] else "")),
        ("observed", f"{span(age)} ago" if age is not None else ""),
        ("folder", session["folder"]),
        ("created", _past(session["created"])),
        ("ended", _past(session["ended"])),
    ]


def _past(text: str | None) -> str:
    return f"{clock(text)} ({ago(text)} ago)" if text else ""


def _future(text: str | None) -> str:
    return f"{clock(text)} (in {left(text)})" if text else ""

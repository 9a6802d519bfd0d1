"""``sessionctl why``."""

from __future__ import annotations

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option, name_argument
from sessiond.cli.output import clock, expected, paint, safe, say, say_json


@click.command()
@name_argument
@json_option
def command(name: str, as_json: bool) -> int:
    """Tell a session's story in plain words, and what happens next."""
    story = connect().story(name)
    if as_json:
        say_json(story)
        return 0
    session = story["session"]
    start = expected(session["expected_start"]) if session["state"] == "wait-for-node" else ""
    say(f"{paint(safe(session['name']), 'strong')}: {paint(safe(session['phrase']), session['severity'])}{start}")
    say()
    for line in story["lines"]:
        say(f"  {paint(clock(line['at']), 'dim')}  {safe(line['text'])}")
    licence = session["licence"]
    problem = session["problem"] or (licence["problem"] if licence else None)
    if problem is not None:
        say()
        say(f"{paint('Problem:', 'strong')} {safe(problem['message'])}")
        if problem["hint"]:
            say(f"  {safe(problem['hint'])}")
    if story["next"]:
        say()
        say(f"{paint('Next:', 'strong')} {safe(story['next'])}")
    if story["log"]:
        say()
        say(paint("The last lines of its log:", "strong"))
        for text in story["log"]:
            say("  " + safe(text))
    return 0

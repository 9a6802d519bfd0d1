"""``sessionctl why``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option, name_argument
from sessiond.cli.output import clock, expected, paint, safe, say, say_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sessiond.api.wire import Story
    from sessiond.client import Client

_BUNDLE_WAIT_S = 120.0


@click.command()
@name_argument
@click.option(
    "--bundle",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write all of it, and what a support desk would ask for, to FILE (.tar.gz; - for standard output).",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def command(name: str, bundle: str | None, force: bool, as_json: bool) -> int:
    """Tell a session's story in plain words, what is known of why it ended, and what to do next.

    In a bundle are the story, the end of the log, the scheduler's own words, the scripts and versions. Secrets are
    masked in all of it.
    """
    if bundle is not None:
        if as_json:
            raise click.UsageError("--bundle writes an archive: it does not go with --json")
        return _bundle(connect(timeout_s=_BUNDLE_WAIT_S), name, bundle, force=force)
    if force:
        raise click.UsageError("--force is for --bundle FILE")
    story = connect().story(name)
    if as_json:
        say_json(story)
        return 0
    for line in told(story, paint):
        say(line)
    return 0


def _bundle(client: Client, name: str, target: str, *, force: bool) -> int:
    from sessiond.cli.support import STDOUT, write

    found = client.bundle(name)
    story = "".join(f"{line}\n" for line in told(found["story"], lambda text, _look: text))
    files = {"story.txt": story, **found["files"]}
    write(target, found["story"]["session"]["name"], files, force=force)
    if target != STDOUT:
        say(f"{safe(target)} has {len(files)} files; known secrets are masked in them. Look before you send it on.")
    return 0


def told(story: Story, paint: Callable[[str, str], str]) -> Iterator[str]:
    """The story, line by line."""
    session = story["session"]
    start = expected(session["expected_start"]) if session["state"] == "wait-for-node" else ""
    yield f"{paint(safe(session['name']), 'strong')}: {paint(safe(session['phrase']), session['severity'])}{start}"
    yield ""
    for line in story["lines"]:
        yield f"  {paint(clock(line['at']), 'dim')}  {safe(line['text'])}"
    licence = session["licence"]
    problem = session["problem"] or (licence["problem"] if licence else None)
    if problem is not None:
        yield ""
        yield f"{paint('Problem:', 'strong')} {safe(problem['message'])}"
        if problem["hint"] and problem["hint"] != story["next"]:
            yield f"  {safe(problem['hint'])}"
    if story["evidence"]:
        yield ""
        yield paint("What is known:", "strong")
        for text in story["evidence"]:
            yield "  " + safe(text)
    if story["next"]:
        yield ""
        yield f"{paint('Next:', 'strong')} {safe(story['next'])}"
    if story["log"]:
        yield ""
        yield paint("The last lines of its log:", "strong")
        for text in story["log"]:
            yield "  " + safe(text)

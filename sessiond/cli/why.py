"""``sessionctl why``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import json_option, name_argument
from sessiond.cli.output import ago, clock, columns, expected, hanging, paint, safe, say, say_json, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sessiond.api.wire import Session, Story
    from sessiond.client import Client

_BUNDLE_WAIT_S: Final = 120.0
_TIME: Final = re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}Z")
"""A time as the daemon writes it into a sentence."""
_SAID: Final = frozenset({"walltime", "node-failed", "preempted", "out-of-memory"})
"""Ends of which the phrase and what is known of them say all that the problem does."""
_NARROW: Final = 60
"""Where there are fewer columns, the days of a story are left out."""


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
        if not bundle:
            raise click.UsageError("--bundle needs a file's name, or - for standard output")
        return _bundle(connect(timeout_s=_BUNDLE_WAIT_S), name, bundle, force=force)
    if force:
        raise click.UsageError("--force is for --bundle FILE")
    story = connect().story(name)
    if as_json:
        say_json(story)
        return 0
    for line in told(story, paint, columns(sys.stdout)):
        say(line)
    return 0


def _bundle(client: Client, name: str, target: str, *, force: bool) -> int:
    from sessiond.cli.support import STDOUT, write

    found = client.bundle(name)
    story = "".join(f"{line}\n" for line in told(found["story"], lambda text, _look: text, lasting=True))
    files = {"story.txt": story, **found["files"]}
    write(target, found["story"]["session"]["name"], files, force=force)
    if target != STDOUT:
        say(f"{safe(target)} has {len(files)} files; known secrets are masked in them. Look before you send it on.")
    return 0


def told(
    story: Story, paint: Callable[[str, str], str], width: int | None = None, *, lasting: bool = False
) -> Iterator[str]:
    """The story, line by line, in lines of ``width`` columns where that is known. A ``lasting`` one is for a file: how
    long ago something was would be wrong when it is read."""
    session = story["session"]
    yield from _headline(session, paint, width, lasting=lasting)
    yield ""
    for line in story["lines"]:
        at = clock(line["at"])[11 if width is not None and width < _NARROW else 0 :]
        first, *more = hanging(f"  {at}  {safe(line['text'])}", width, len(at) + 4)
        yield f"  {paint(at, 'dim')}{first[len(at) + 2 :]}"
        yield from more
    licence = session["licence"]
    problem = (session["problem"] if session["outcome"] not in _SAID else None) or (
        licence["problem"] if licence else None
    )
    if problem is not None and not (_in(problem["message"], session["phrase"]) and _in(problem["hint"], story["next"])):
        yield ""
        yield from _titled("Problem:", safe(problem["message"]), paint, width)
        if problem["hint"] and not _in(problem["hint"], story["next"]):
            yield from hanging("  " + safe(problem["hint"]), width, 2)
    if story["evidence"]:
        yield ""
        yield paint("What is known:", "strong")
        for text in story["evidence"]:
            yield from hanging("  " + safe(_TIME.sub(_local, text)), width, 4)
    if story["next"]:
        yield ""
        yield from _titled("Next:", safe(story["next"]), paint, width)
    if story["log"]:
        yield ""
        yield paint("The last lines of its log:", "strong")
        for text in story["log"]:
            yield "  " + safe(text)


def _headline(session: Session, paint: Callable[[str, str], str], width: int | None, *, lasting: bool) -> Iterator[str]:
    """What the session is, since when, and, where it waits, for how long still."""
    start = expected(session["expected_start"]) if session["state"] == "wait-for-node" else ""
    # Where the link is down, how long that has been is what the phrase says.
    lasts = f" (for {ago(session['since'])})" if session["link"]["state"] in ("up", "idle") else ""
    since = f" ({ago(session['since'])} ago)" if session["state"] == "ended" else lasts
    if lasting:
        start = since = ""
    name = safe(session["name"])
    first, *more = hanging(f"{name}: {safe(session['phrase'])}{since}{start}", width, 2)
    look = session["severity"]
    yield f"{paint(name, 'strong')}: {paint(first.removeprefix(f'{name}: '), look)}"
    yield from (paint(line, look) for line in more)


def _titled(title: str, text: str, paint: Callable[[str, str], str], width: int | None) -> Iterator[str]:
    first, *more = hanging(f"{title} {text}", width, 2)
    yield paint(title, "strong") + first.removeprefix(title)
    yield from more


def _local(found: re.Match[str]) -> str:
    """A time in a sentence as this machine's clocks show it. What only looks like one stays as it is."""
    return clock(found[0]) if when(found[0]) else found[0]


def _in(text: str, longer: str) -> bool:
    """Whether ``longer`` says what ``text`` says."""
    return text.rstrip(".").casefold() in longer.casefold()

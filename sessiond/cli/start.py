"""``sessionctl start``: and what `plan` shares with it, the words of a request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import complete_clusters, complete_values, complete_what_starts, json_option
from sessiond.cli.output import is_terminal, note, paint, safe, say, say_json
from sessiond.client import Client, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessiond.api.wire import Session, StartRequest, Story

F = TypeVar("F", bound="Callable[..., Any]")

_DETACHED = 130
"""The status after Ctrl-C. The session goes on, but it was not seen running: `start X && use X` must stop there."""

_UNKNOWN = "`sessionctl ls --all` shows whether it has begun all the same"

_LOG_LINES = 10


def request_options(function: F) -> F:
    """The arguments that say what to start."""
    for decorate in reversed(
        (
            click.argument("service", metavar="SERVICE_OR_WORKFLOW", shell_complete=complete_what_starts),
            click.option(
                "--on", "cluster", metavar="CLUSTER", shell_complete=complete_clusters, help="Where to run it."
            ),
            click.option(
                "--mode",
                type=click.Choice(("local", "controller", "slurm", "pbs")),
                help="How to run it there.",
            ),
            click.option("--name", metavar="NAME", help="What to call the session."),
            click.option(
                "--set",
                "values",
                metavar="KEY=VALUE",
                multiple=True,
                shell_complete=complete_values,
                help="A value for the service or the form.",
            ),
            click.option("--again", is_flag=True, help="As the last time, but for what is said now; not secrets."),
            click.option("--time", "walltime", metavar="HH:MM:SS", help="The walltime to ask for."),
            click.option("--max-wait", metavar="DURATION", help="Give up if there is no node after so long: 2h."),
            click.option(
                "--directive", "directives", metavar="TEXT", multiple=True, help="A line for the scheduler, as it is."
            ),
        )
    ):
        function = decorate(function)
    return function


def request(
    service: str,
    cluster: str | None,
    mode: str | None,
    name: str | None,
    values: tuple[str, ...],
    walltime: str | None,
    max_wait: str | None,
    directives: tuple[str, ...],
    again: bool,
) -> StartRequest:
    """The request these arguments make. Raises ClientError for a value without its key."""
    found: StartRequest = {"service": service}
    if cluster is not None:
        found["cluster"] = cluster
    if mode is not None:
        found["mode"] = mode
    if name is not None:
        found["name"] = name
    if values:
        found["set"] = dict(map(_pair, values))
    if walltime is not None:
        found["time"] = walltime
    if max_wait is not None:
        found["max_wait"] = max_wait
    if directives:
        found["directives"] = list(directives)
    if again:
        found["again"] = True
    return found


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ClientError("bad-request", f"--set takes KEY=VALUE, not {text!r}", "an empty value is written KEY=")
    return key, value


@click.command()
@request_options
@click.option("--no-wait", is_flag=True, help="Return as soon as the session is recorded.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser as soon as it runs.")
@json_option
def command(no_wait: bool, open_it: bool, as_json: bool, **arguments: Any) -> int:
    """Start a session of a service, through one of its forms or without, and follow it until it runs; print its URL."""
    wanted = request(**arguments)
    client = connect()
    kept = last_values(client, wanted)
    try:
        session = client.start(wanted)
    except KeyboardInterrupt:
        note(f"Interrupted before sessiond answered. {_UNKNOWN}.")
        return _DETACHED
    except ClientError as error:
        if error.unanswered:
            raise ClientError(error.code, error.message, _UNKNOWN) from None
        raise _named_a_session(client, wanted["service"], error) from None
    if kept:
        # Said once it has begun: what is refused is a matter of its own.
        note(f"What was said the last time ({kept}) is not taken over; --again takes it.")
    if not no_wait:
        from sessiond.cli.follow import Detached, follow
        from sessiond.cli.wait import over

        name = safe(session["name"])
        try:
            (session,) = follow(client, [session["id"]], _settled, told=over)
        except Detached:
            note(f"Detached; {name} goes on. `sessionctl why {name}` tells how, `sessionctl stop {name}` ends it.")
            return _DETACHED
        if session["state"] == "ended":
            raise ended_badly(client, session)
    if as_json:
        say_json(session)
    elif session["url"]:
        say(safe(session["url"]))
    else:
        say(f"{safe(session['name'])}: {safe(session['phrase'])}", err=True)
    if open_it:
        from sessiond.cli.open import open_url

        open_url(session)
    return 0


def last_values(client: Client, wanted: StartRequest) -> str:
    """What a person at a terminal said the last time and does not say now, by name; empty where there is nothing."""
    if wanted.get("again") or not is_terminal(sys.stderr):
        return ""
    name = wanted["service"]
    for ask in (client.service, client.workflow):
        try:
            last = ask(name)["last"]
        except ClientError:
            continue
        said = {key.replace(".", "_") for key in wanted.get("set", {})}
        names = [safe(key) for key in last if key.replace(".", "_") not in said]
        return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return ""


def _named_a_session(client: Client, name: str, error: ClientError) -> ClientError:
    """What to say where there is no such service: those who want a session once more easily name it instead."""
    if error.code != "not-found" or not error.message.endswith(name):
        return error
    try:
        form = client.session(name)["workflow"]
    except ClientError:
        return error
    return ClientError(
        error.code, error.message, f"{name} is a session: `sessionctl start {form} --again` starts another"
    )


def _settled(session: Session) -> bool:
    return session["state"] in {"running", "ended"}


def ended_badly(client: Client, session: Session) -> ClientError:
    """Why a session ended before it ran; the last lines of its log go to standard error."""
    name = safe(session["name"])
    story: Story = client.story(session["id"])
    if story["log"]:
        say(paint("The last lines of its log:", "dim", sys.stderr), err=True)
        for line in story["log"][-_LOG_LINES:]:
            say("  " + safe(line), err=True)
    problem = session["problem"]
    if problem is not None:
        cause, hint = problem["message"], problem["hint"]
    else:
        cause, hint = (story["lines"][-1]["text"] if story["lines"] else session["phrase"]), ""
    return ClientError(
        "failed",
        f"{session['name']} ended before it ran ({session['outcome'] or 'cause unknown'}): {cause}",
        hint or f"`sessionctl why {name}` tells the whole story",
    )

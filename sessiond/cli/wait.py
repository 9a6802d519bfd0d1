"""``sessionctl wait``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.follow import Detached, TimeIsUp, follow
from sessiond.cli.launch import connect
from sessiond.cli.options import json_option, names_argument
from sessiond.cli.output import safe, say, say_json
from sessiond.client import ClientError

if TYPE_CHECKING:
    from sessiond.api.wire import Session

_WAY: Final = ("render", "submit", "wait-for-node", "start", "tunnel", "running")
"""The states of a session that goes well, in their order: who is past one has reached it."""

_STATES: Final = (*_WAY, "reconcile", "abandon", "verify", "kill", "ended")
_INTERRUPTED: Final = 130
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """``90``, ``90s``, ``5m`` or ``1h30m``, in seconds. Raises click.BadParameter for anything else."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text):
        return float(text)
    if not re.fullmatch(r"([0-9]{1,6}(\.[0-9]{1,3})?[smhd])+", text):
        raise click.BadParameter(f"{text!r} is not a duration such as 90s, 5m or 1h30m", context, parameter)
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)([smhd])", text))


@click.command()
@names_argument(required=True, live=True)
@click.option("--for", "state", type=click.Choice(_STATES), help="The state to wait for.  [default: running or ended]")
@click.option("--timeout", metavar="DURATION", callback=duration, help="Give up after so long, with status 75.")
@json_option
def command(names: tuple[str, ...], state: str | None, timeout: float | None, as_json: bool) -> int:
    """Wait until sessions run (or have completed), or are in a given state.

    Status 0 when each got there, 1 when one ended otherwise, 75 when the time was up.
    """
    client = connect()

    def is_bad(session: Session) -> bool:
        return over(session) and not fine(session, state)

    def is_there(session: Session) -> bool:
        return over(session) or reached(session, state)

    try:
        found = follow(client, names, is_there, timeout_s=timeout, quiet=as_json, told=is_bad)
    except TimeIsUp:
        raise ClientError(
            "busy",
            f"the time is up: {' '.join(names)} did not get there",
            f"`sessionctl why {names[0]}` tells what is going on",
        ) from None
    except Detached:
        return _INTERRUPTED
    if as_json:
        say_json(found)
    bad = [session for session in found if is_bad(session)]
    for session in bad:
        if not as_json:
            name = safe(session["name"])
            say(f"{name}: {safe(session['phrase'])}; `sessionctl why {name}` tells the story.", err=True)
    return 1 if bad else 0


def over(session: Session) -> bool:
    """Whether nothing more will happen to it."""
    return session["state"] == "ended"


def reached(session: Session, state: str | None) -> bool:
    """Whether the session is where it was to be: in ``state``, or past it on the way to running."""
    now, wanted = session["state"], state or "running"
    if now in _WAY and wanted in _WAY:
        return _WAY.index(now) >= _WAY.index(wanted)
    return now == wanted


def fine(session: Session, state: str | None) -> bool:
    """Whether an end is a good one: who waits for the end itself takes a cancelled session for ended, too."""
    return session["outcome"] == "completed" or (state == "ended" and session["outcome"] == "cancelled")
